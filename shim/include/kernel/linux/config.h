/* deadwalk: <linux/config.h> of 2.x in user space: nothing is configured. */
#pragma GCC system_header
