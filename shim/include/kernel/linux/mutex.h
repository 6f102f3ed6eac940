/* deadwalk: <linux/mutex.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/mutex.h>
