/* Stub: what is told of devices is declared with them. */
#include <linux/netdevice.h>
