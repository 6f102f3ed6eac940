/*
 * A watchdog in software, as modules of 2.2 and 2.4 were: init_module and
 * cleanup_module, a use count by hand, and a timer of the module's own, whose
 * handler is text that goes with it.
 */
#include <linux/module.h>
#include <linux/config.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/timer.h>
#include <asm/bitops.h>
#include <asm/uaccess.h>

#define DOG_PORT 0x2c

#ifdef FIXED
#define stop_timer(timer) del_timer_sync(timer)
#else
#define stop_timer(timer) del_timer(timer)
#endif

extern void device_out(unsigned char value, unsigned long port);
int dog_open(void);
int dog_release(void);
int init_module(void);
void cleanup_module(void);

static int margin = 60;
MODULE_PARM(margin, "i");

static struct timer_list dog_timer;
static volatile unsigned long is_open;
static volatile int barks;

static void dog_barks(unsigned long data)
{
	device_out((unsigned char)data, DOG_PORT);
	barks++;
}

int dog_open(void)
{
	if (test_and_set_bit(0, &is_open))
		return -EBUSY;
	MOD_INC_USE_COUNT;
	return 0;
}

int dog_release(void)
{
	clear_bit(0, &is_open);
	MOD_DEC_USE_COUNT;
	return 0;
}

int init_module(void)
{
	init_timer(&dog_timer);
	dog_timer.function = dog_barks;
	dog_timer.data = (unsigned long)margin;
	dog_timer.expires = jiffies + 1;
	add_timer(&dog_timer);
	return 0;
}

void cleanup_module(void)
{
	stop_timer(&dog_timer);
}
