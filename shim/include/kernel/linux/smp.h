/* deadwalk: <linux/smp.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/smp.h>
