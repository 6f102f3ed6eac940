/* deadwalk: <asm/system.h> of 2.x in user space: barriers, cli(), save_flags(). */
#pragma GCC system_header
#include <linux/spinlock.h>
