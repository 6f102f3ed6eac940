/* deadwalk: <linux/jiffies.h> in user space. */
#pragma GCC system_header
#include <deadwalk/jiffies.h>
