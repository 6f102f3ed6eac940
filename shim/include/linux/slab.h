/* deadwalk: <linux/slab.h> in user space. */
#pragma GCC system_header
#include <deadwalk/slab.h>
