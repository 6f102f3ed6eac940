/* deadwalk: <linux/list.h> in user space. */
#pragma GCC system_header
#include <deadwalk/list.h>
