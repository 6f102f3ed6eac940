/* deadwalk: <linux/cleanup.h> in user space. */
#pragma GCC system_header
#include <deadwalk/kernel.h>
#ifndef __cplusplus
#include <deadwalk/cleanup.h>
#endif
