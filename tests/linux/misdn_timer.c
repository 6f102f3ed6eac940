/*
 * Runs drivers/isdn/mISDN/timerdev.c: a device whose every open file has a list
 * of timers that wait and one of those that expired. Timers are added, deleted at
 * random phases and read when they have expired, and files closed over them.
 */
#include <linux/fcntl.h>
#include <linux/mISDNif.h>
#include <linux/miscdevice.h>

#include "harness.h"

typedef unsigned int u_int;
extern int mISDN_inittimer(u_int *);
extern void mISDN_timer_cleanup(void);

#define FILES 24
#define TIMERS 16

static struct miscdevice *device;
static u_int debug;
static unsigned long added, deleted, expired;

int misc_register(struct miscdevice *misc)
{
	device = misc;
	return 0;
}

void misc_deregister(struct miscdevice *misc)
{
	BUG_ON(misc != device);
}

static int call(struct file *file, unsigned int command, int argument)
{
	BUG_ON(device->fops->unlocked_ioctl(file, command, (unsigned long)&argument));
	return argument;
}

static void read_expired(struct file *file)
{
	int id;

	while (device->fops->read(file, (char *)&id, sizeof(id), NULL) == sizeof(id))
		expired++;
}

static void one_file(void)
{
	struct file file = { .f_flags = O_NONBLOCK };
	struct inode inode = { 0 };
	int ids[TIMERS];

	BUG_ON(device->fops->open(&inode, &file));
	for (int i = 0; i < TIMERS; i++) {
		ids[i] = call(&file, IMADDTIMER, 1000 * (1 + random_below(12)));
		added++;
	}
	for (int i = 0; i < TIMERS; i++) {
		if (random_below(3) == 0)
			random_phase();
		deleted += call(&file, IMDELTIMER, ids[random_below(TIMERS)]) != 0;
		if (random_below(2))
			read_expired(&file);
	}
	BUG_ON(device->fops->release(&inode, &file));
}

int main(int argc, char **argv)
{
	harness_start(argc, argv);
	BUG_ON(mISDN_inittimer(&debug));
	for (int i = 0; i < FILES; i++)
		one_file();
	mISDN_timer_cleanup();
	printf("added %lu, deleted %s, expired %s\n", added, deleted ? "some" : "none",
	       expired ? "some" : "none");
	return 0;
}
