/* deadwalk: <linux/typecheck.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
