/* deadwalk: <asm/cmpxchg.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/atomic.h>
