/* deadwalk: <asm/softirq.h> in user space. */
#pragma GCC system_header
#include <linux/interrupt.h>
