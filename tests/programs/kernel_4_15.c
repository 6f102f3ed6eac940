/*
 * The interface from 4.15 on: timer_setup, a handler that gets the timer, and
 * from 6.x timer_delete, timer_shutdown and timer_container_of.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timer.h>

struct device {
	int ticks;
	struct timer_list timer;
};

static void tick(struct timer_list *timer)
{
	struct device *dev = from_timer(dev, timer, timer);

	dev->ticks++;
	mod_timer(timer, jiffies + HZ);
}

static void tock(struct timer_list *timer)
{
	struct device *dev = timer_container_of(dev, timer, timer);

	dev->ticks--;
	timer->function = (dev->ticks & 1) ? tock : tick;
}

static DEFINE_TIMER(alone, tick);
static struct timer_list other = TIMER_INITIALIZER(tock);
static struct timer_list pinned = __TIMER_INITIALIZER(tock, TIMER_PINNED);

struct device *begin(void)
{
	struct device *dev = kmalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return NULL;
	timer_setup(&dev->timer, tick, TIMER_IRQSAFE);
	dev->timer.function = tock;
	dev->timer.expires = jiffies + 1;
	add_timer_on(&dev->timer, 0);
	timer_reduce(&dev->timer, jiffies);
	return dev;
}

int end(struct device *dev)
{
	struct timer_list local;
	int deleted = timer_delete(&dev->timer);

	timer_setup_on_stack(&local, tick, 0);
	deleted += timer_delete_sync(&local) + timer_delete_sync_try(&alone);
	destroy_timer_on_stack(&local);
	deleted += timer_delete(&other) + timer_shutdown(&pinned) + timer_shutdown_sync(&dev->timer);
	kfree(dev);
	pr_info("%d deleted\n", deleted);
	return deleted;
}

MODULE_LICENSE("GPL v2");
