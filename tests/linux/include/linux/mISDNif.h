/* Stub: the calls of ISDN's timer device, and names of what it has no part in. */
#ifndef STUB_MISDNIF_H
#define STUB_MISDNIF_H

#include <linux/ioctl.h>

#define IMADDTIMER _IOR('I', 64, int)
#define IMDELTIMER _IOR('I', 65, int)

#define DEBUG_TIMER 0x01000000

struct mISDNchannel;
struct mISDNdevice;
struct mISDNstack;
struct sockaddr_mISDN;

#endif
