/* deadwalk: <linux/bottom_half.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#include <deadwalk/irqflags.h>
