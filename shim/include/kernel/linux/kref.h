/* deadwalk: <linux/kref.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/kref.h>
#include <deadwalk/rwlock.h>
