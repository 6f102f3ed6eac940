/*
 * Stub: files and the operations of a driver's, which the harness calls as the
 * kernel would.
 */
#ifndef STUB_FS_H
#define STUB_FS_H

#include <linux/module.h>
#include <linux/poll.h>
#include <linux/fcntl.h>

struct inode {
	int number;
};

struct file {
	unsigned int f_flags;
	void *private_data;
};

struct file_operations {
	struct module *owner;
	long long (*llseek)(struct file *, long long, int);
	ssize_t (*read)(struct file *, char *, size_t, loff_t *);
	ssize_t (*write)(struct file *, const char *, size_t, loff_t *);
	__poll_t (*poll)(struct file *, poll_table *);
	long (*unlocked_ioctl)(struct file *, unsigned int, unsigned long);
	long (*compat_ioctl)(struct file *, unsigned int, unsigned long);
	int (*open)(struct inode *, struct file *);
	int (*release)(struct inode *, struct file *);
};

static inline int nonseekable_open(struct inode *inode, struct file *file)
{
	(void)inode;
	(void)file;
	return 0;
}
#define stream_open(inode, file) nonseekable_open(inode, file)

static inline long long no_llseek(struct file *file, long long offset, int whence)
{
	(void)file;
	(void)offset;
	(void)whence;
	return -ESPIPE;
}

#endif
