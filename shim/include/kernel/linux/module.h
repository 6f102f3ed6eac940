/* deadwalk: <linux/module.h> in user space. */
#pragma GCC system_header
/* The C library includes the kernel's own user header of this name. */
#include_next <linux/module.h>
#include <deadwalk/module.h>
/* A module that includes nothing else has these too, in the kernel. */
#include <linux/timer.h>
#include <linux/spinlock.h>
#include <linux/slab.h>
#include <linux/atomic.h>
