/* deadwalk: <linux/spinlock.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/rwlock.h>
#ifndef __cplusplus
#include <deadwalk/cleanup.h>
#endif
