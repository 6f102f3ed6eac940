/* deadwalk: <linux/sched.h> in user space. */
#pragma GCC system_header
#include_next <linux/sched.h>
#include <deadwalk/kernel.h>
#include <deadwalk/jiffies.h>
#include <deadwalk/rwlock.h>
#include <deadwalk/sched.h>
