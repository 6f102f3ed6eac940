/* deadwalk: <linux/timer.h> in user space. */
#pragma GCC system_header
#define DEADWALK_LINUX_TIMER_H
#include <deadwalk/kernel.h>
#include <deadwalk/timer.h>
#include <deadwalk/list.h>
