/* deadwalk: <linux/math.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
