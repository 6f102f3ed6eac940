/* deadwalk: <linux/errno.h> in user space. */
#pragma GCC system_header
#include_next <linux/errno.h>
/* <errno.h> includes this, by way of <bits/errno.h>: it gets no more. */
#if __INCLUDE_LEVEL__ < 3
#include <deadwalk/errno.h>
#endif
