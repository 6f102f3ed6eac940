/* deadwalk: <linux/export.h> in user space. */
#pragma GCC system_header
#include <deadwalk/module.h>
