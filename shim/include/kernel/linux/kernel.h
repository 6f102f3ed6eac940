/* deadwalk: <linux/kernel.h> in user space. */
#pragma GCC system_header
/*
 * <sys/sysinfo.h> includes the kernel's own user header of this name. Where it is
 * the first to do so, it gets that alone: a program that asks the C library for
 * sysinfo() has not asked for min().
 */
#if defined(_SYS_SYSINFO_H) && !defined(_LINUX_KERNEL_H)
#include_next <linux/kernel.h>
#else
#include_next <linux/kernel.h>
#include <deadwalk/kernel.h>
#endif
