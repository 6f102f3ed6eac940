/* deadwalk: <asm/bug.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
