/* deadwalk: <linux/device.h> in user space: its messages. A driver's devices are
 * the program's to make up. */
#pragma GCC system_header
#include <deadwalk/kernel.h>

#ifndef dev_info
#define dev_err(dev, fmt, ...) ((void)(dev), printk(KERN_ERR fmt, ##__VA_ARGS__))
#define dev_warn(dev, fmt, ...) ((void)(dev), printk(KERN_WARNING fmt, ##__VA_ARGS__))
#define dev_notice(dev, fmt, ...) ((void)(dev), printk(KERN_NOTICE fmt, ##__VA_ARGS__))
#define dev_info(dev, fmt, ...) ((void)(dev), printk(KERN_INFO fmt, ##__VA_ARGS__))
#define dev_dbg(dev, fmt, ...) ((void)(dev), no_printk(KERN_DEBUG fmt, ##__VA_ARGS__))
#endif
