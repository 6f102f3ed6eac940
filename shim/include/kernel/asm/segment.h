/* deadwalk: <asm/segment.h> in user space. */
#pragma GCC system_header
#include <linux/uaccess.h>
