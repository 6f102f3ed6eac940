/*
 * A module that includes little and calls its own functions and variables as it
 * likes: the C library's names, and timer_exit, are not in its way.
 */
#define KBUILD_MODNAME "name"
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define MODULE
#include <linux/types.h>
#include <linux/time.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/device.h>
#include <linux/sched.h>
#include <linux/interrupt.h>
#include <linux/vmalloc.h>

#define MARGIN 60

struct id {
	u32 vendor;
};

struct device {
	struct id id;
};

static struct device device;

static int index = 3;
static unsigned int margin = MARGIN;
static bool quiet;
static char name[8] = "none";
static int ports[2];
static int port_count;
static const struct id ids[] __maybe_unused = { { 1 }, { 0 } };
static const struct id table[] = { { 2 }, { 0 } };
static struct timer_list timer;
static LIST_HEAD(all);
static DEFINE_SPINLOCK(all_lock);

module_param(margin, uint, 0);
MODULE_PARM_DESC(margin, "seconds (default=" __MODULE_STRING(MARGIN) ")");
module_param_named(silent, quiet, bool, 0444);
module_param_array(ports, int, &port_count, 0);
module_param_string(name, name, sizeof(name), 0);
MODULE_DEVICE_TABLE(pci, table);
MODULE_ALIAS("platform:name");
MODULE_ALIAS_MISCDEV(130);
MODULE_ALIAS_CHARDEV_MAJOR(10);
MODULE_INFO(supported, "yes");
MODULE_FIRMWARE("name.bin");
MODULE_LICENSE("GPL");
EXPORT_SYMBOL_GPL(init_module);

static ssize_t read(char __user *to, size_t count, loff_t *offset)
{
	const struct itimerspec once = { { 0, 0 }, { 1, 0 } };

	if (*offset > (loff_t)sizeof(once))
		return -ENOIOCTLCMD;
	if (copy_to_user(to, &once, min(count, sizeof(once))))
		return -EFAULT;
	return once.it_value.tv_sec;
}

static ssize_t write(const char __user *from, size_t count)
{
	char c = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		if (get_user(c, from + i))
			return -EFAULT;
	}
	return c == 'V' ? (ssize_t)count : -EINVAL;
}

static int open(dev_t dev)
{
	return dev == 0 ? -ERESTARTSYS : index;
}

static void expired(struct timer_list *t)
{
	mod_timer(t, jiffies + margin * HZ);
}

static int __devinit probe(void)
{
	char buffer[sizeof(struct itimerspec)];
	loff_t start = 0;

	timer_setup(&timer, expired, 0);
	if (!try_module_get(THIS_MODULE) || !list_empty(&all))
		return -ENOTSUPP;
	spin_lock(&all_lock);
	spin_unlock(&all_lock);
	module_put(THIS_MODULE);
	pr_info("read %d\n", (int)read(buffer, sizeof(buffer), &start));
	pr_notice("write %d\n", (int)write("12V", 3));
	pr_err("open %d %d\n", open(0), open(1));
	dev_info(&device, "device %d\n", 1);
	dev_dbg(&device, "never\n");
	pr_cont("%s", "");
	return strcmp(name, "none");
}

static void __devexit removed(void)
{
	del_timer_sync(&timer);
}

static int __init timer_init(void)
{
	return probe();
}
device_initcall(timer_init);

static void __exit timer_exit(void)
{
	void (*gone)(void) = __devexit_p(removed);

	gone();
	pr_debug("never %d\n", ++index);
	printk(KERN_DEFAULT "index %d\n", index);
}
module_exit(timer_exit);

int main(void)
{
	int failed = init_module();

	cleanup_module();
	return failed;
}
