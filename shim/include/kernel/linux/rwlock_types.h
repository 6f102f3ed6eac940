/* deadwalk: <linux/rwlock_types.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/rwlock.h>
