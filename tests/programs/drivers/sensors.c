/*
 * Sensors that are polled, as drivers of 2.6 were written: a list of objects with a
 * timer each, set up with setup_timer, which re-arm themselves.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/timer.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/device.h>
#include <linux/hardirq.h>
#include <asm/uaccess.h>
#include <asm/system.h>

#define DRV_NAME "sensor"
#define PFX DRV_NAME ": "
#define dprintk(fmt, args...) \
	do { \
		if (debug) \
			printk(KERN_DEBUG PFX "%s: " fmt, __FUNCTION__ , ## args); \
	} while (0)

static int debug;
module_param(debug, int, S_IRUGO | S_IWUSR);
MODULE_PARM_DESC(debug, "Debug level");
static unsigned int interval __read_mostly = 100;
module_param(interval, uint, 0644);

struct sensor {
	struct list_head list;
	struct timer_list timer;
	unsigned long last_update;
	unsigned long flags;
	s16 temp[3];
	char name[16];
	unsigned dead:1;
};

static LIST_HEAD(sensors);
static DEFINE_SPINLOCK(sensors_lock);
static struct timer_list watchdog = TIMER_INITIALIZER(NULL, 0, 0);

static void sensor_poll(unsigned long data)
{
	struct sensor *s = (struct sensor *)data;
	unsigned long flags;

	spin_lock_irqsave(&sensors_lock, flags);
	if (time_after(jiffies, s->last_update + HZ + HZ / 2) || !test_bit(0, &s->flags)) {
		s->last_update = jiffies;
		set_bit(0, &s->flags);
		s->temp[0] = clamp_val(s->temp[0] + 1, -128, 127);
	}
	if (!s->dead)
		mod_timer(&s->timer, round_jiffies(jiffies + msecs_to_jiffies(interval)));
	spin_unlock_irqrestore(&sensors_lock, flags);
}

struct sensor *sensor_register(const char *name);
void sensor_unregister(struct sensor *s);

struct sensor *sensor_register(const char *name)
{
	struct sensor *s = kzalloc(sizeof(*s), in_interrupt() ? GFP_ATOMIC : GFP_KERNEL);

	if (!s)
		return ERR_PTR(-ENOMEM);
	strlcpy(s->name, name, sizeof(s->name));
	setup_timer(&s->timer, sensor_poll, (unsigned long)s);
	INIT_LIST_HEAD(&s->list);
	spin_lock_bh(&sensors_lock);
	list_add_tail(&s->list, &sensors);
	spin_unlock_bh(&sensors_lock);
	s->timer.expires = jiffies + 1;
	add_timer_on(&s->timer, smp_processor_id());
	return s;
}
EXPORT_SYMBOL_GPL(sensor_register);

void sensor_unregister(struct sensor *s)
{
	might_sleep();
	if (WARN_ON(list_empty(&s->list)))
		return;
	spin_lock_irq(&sensors_lock);
	list_del_init(&s->list);
	s->dead = 1;
	spin_unlock_irq(&sensors_lock);
	while (try_to_del_timer_sync(&s->timer) < 0)
		cpu_relax();
	if (timer_pending(&s->timer))
		del_singleshot_timer_sync(&s->timer);
	kfree(s);
}
EXPORT_SYMBOL_GPL(sensor_unregister);

static int __init sensor_init(void)
{
	struct sensor *s;

	init_timer(&watchdog);
	s = sensor_register("cpu");
	if (IS_ERR(s))
		return PTR_ERR(s);
	dprintk("%s\n", s->name);
	pr_debug("%u\n", jiffies_to_msecs(jiffies));
	return 0;
}

static void __exit sensor_exit(void)
{
	struct sensor *s, *n;

	list_for_each_entry_safe(s, n, &sensors, list)
		sensor_unregister(s);
	del_timer_sync(&watchdog);
}

module_init(sensor_init);
module_exit(sensor_exit);
MODULE_LICENSE("GPL");
MODULE_VERSION("1");

int main(void)
{
	init_module();
	msleep(50);
	cleanup_module();
	return 0;
}
