/* deadwalk: <linux/interrupt.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/interrupt.h>
#include <deadwalk/rwlock.h>
