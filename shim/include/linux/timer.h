/* deadwalk: <linux/timer.h> in user space. */
#pragma GCC system_header
#include <deadwalk/timer.h>
#include <deadwalk/list.h>
