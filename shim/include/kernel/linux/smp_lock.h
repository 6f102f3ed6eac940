/* deadwalk: <linux/smp_lock.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/bkl.h>
