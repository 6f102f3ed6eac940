/*
 * The interface of 2.2 to 2.5: init_timer, static initialisers, a handler that
 * gets a number.
 */
#include <deadwalk/timer.h> /* before all of linux/: for timer_exit */
#include <linux/module.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

/* As drivers of that time did, whatever the header says. */
extern unsigned long volatile jiffies;

struct device {
	spinlock_t lock;
	int ticks;
	struct timer_list timer;
};

static struct device *device;

static void tick(unsigned long data)
{
	struct device *dev = (struct device *)data;
	unsigned long flags;

	spin_lock_irqsave(&dev->lock, flags);
	dev->ticks++;
	dev->timer.expires = jiffies + HZ / 10;
	add_timer(&dev->timer);
	spin_unlock_irqrestore(&dev->lock, flags);
}

static struct timer_list zeroes = INIT_TIMER;
static struct timer_list with_handler = INIT_TIMER_FN(tick);
static struct timer_list with_data = INIT_TIMER_FND(tick, 7);
static struct list_head nowhere = LIST_HEAD_INIT_NULL;

/* The compiler wants more braces and fields here, with the kernel's own header
 * of that time too. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-braces"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static struct timer_list positional = { NULL, NULL, 0, 0, tick };
#pragma GCC diagnostic pop

static kmem_cache_t *cache;

static void construct(void *object, kmem_cache_t *of, unsigned long flags)
{
	(void)of;
	(void)flags;
	((struct device *)object)->ticks = 0;
}

static int __init start(void)
{
	cache = kmem_cache_create("device", sizeof(*device), 0, SLAB_HWCACHE_ALIGN, construct, NULL);
	device = kmem_cache_alloc(cache, SLAB_ATOMIC);
	if (!device)
		return -1;
	device->lock = SPIN_LOCK_UNLOCKED;
	init_timer(&device->timer);
	device->timer.function = tick;
	device->timer.data = (unsigned long)device;
	device->timer.expires = jiffies + 2 * HZ;
	add_timer(&device->timer);
	mod_timer(&with_handler, jiffies + 1);
	zeroes.function = with_data.function;
	MOD_INC_USE_COUNT;
	printk(KERN_INFO "started, %d lists\n", nowhere.next == NULL);
	return 0;
}

static void __exit stop(void)
{
	if (!del_timer(&device->timer))
		del_timer_async(&device->timer);
	timer_exit(&positional);
	del_timer_sync(&with_data);
	sync_timers();
	wait_on_timers();
	kmem_cache_free(cache, device);
	kmem_cache_destroy(cache);
	MOD_DEC_USE_COUNT;
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("nobody");
EXPORT_NO_SYMBOLS;
