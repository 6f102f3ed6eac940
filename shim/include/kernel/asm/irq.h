/* deadwalk: <asm/irq.h> in user space. */
#pragma GCC system_header
#include <linux/interrupt.h>
