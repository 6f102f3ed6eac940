/* Stub: devices that are one file each. The harness opens it. */
#ifndef STUB_MISCDEVICE_H
#define STUB_MISCDEVICE_H

#include <linux/fs.h>

#define MISC_DYNAMIC_MINOR 255

struct miscdevice {
	int minor;
	const char *name;
	const struct file_operations *fops;
};

/* The harness's. */
extern int misc_register(struct miscdevice *);
extern void misc_deregister(struct miscdevice *);

#endif
