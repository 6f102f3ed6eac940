/* deadwalk: <asm/atomic.h> of 2.x in user space. */
#pragma GCC system_header
#include <deadwalk/atomic.h>
