/* deadwalk: <asm/byteorder.h> in user space. */
#pragma GCC system_header
#include_next <asm/byteorder.h>
#if defined(__KERNEL__) || defined(MODULE)
#include <deadwalk/byteorder.h>
#endif
