/* Stub: numbers of kinds of hardware. */
#ifndef STUB_IF_ARP_H
#define STUB_IF_ARP_H

#define ARPHRD_AX25 3
#define ARPHRD_X25 271
#define ARPHRD_ROSE 270

#endif
