/* deadwalk: <linux/refcount.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/refcount.h>
#include <deadwalk/rwlock.h>
