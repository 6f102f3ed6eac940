/* deadwalk: <linux/string.h> in user space. */
#pragma GCC system_header
#include <deadwalk/string.h>
/* The kernel's own user header of this name: includes <string.h>. */
#include_next <linux/string.h>
