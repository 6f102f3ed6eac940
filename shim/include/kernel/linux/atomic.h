/* deadwalk: <linux/atomic.h> in user space. */
#pragma GCC system_header
#include <deadwalk/atomic.h>
