/* deadwalk: <asm/spinlock.h> in user space. */
#pragma GCC system_header
#include <linux/spinlock.h>
