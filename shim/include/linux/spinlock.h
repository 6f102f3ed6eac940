/* deadwalk: <linux/spinlock.h> in user space. */
#pragma GCC system_header
#include <deadwalk/spinlock.h>
