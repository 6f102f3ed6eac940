/* deadwalk: <linux/time.h> in user space. */
#pragma GCC system_header
/* The C library's structures, and not the kernel's user header, whose of the
 * same names would be a second definition. */
#ifndef _LINUX_TIME_H
#define _LINUX_TIME_H
#endif
#include <linux/time_types.h>
#include <sys/time.h>
#include <time.h>
#include <deadwalk/time.h>
