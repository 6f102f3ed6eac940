/* deadwalk: <linux/types.h> in user space. */
#pragma GCC system_header
#include_next <linux/types.h>
/* The C library's headers include this, and programs have a u32 of their own: it
 * is for what says that it is the kernel's. The headers that only the kernel has
 * bring it always. */
#if defined(__KERNEL__) || defined(MODULE)
#include <deadwalk/types.h>
#endif
