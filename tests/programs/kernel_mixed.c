/*
 * All generations in one file, beside POSIX timers, with deadwalk's own names
 * of the headers.
 */
#include <deadwalk/deadwalk.h>
#include <deadwalk/jiffies.h>
#include <deadwalk/list.h>
#include <deadwalk/module.h>
#include <deadwalk/slab.h>
#include <deadwalk/spinlock.h>
#include <deadwalk/timer.h>
#include <signal.h>
#include <time.h>

static void old_handler(unsigned long data)
{
	(void)data;
}

static void new_handler(struct timer_list *timer)
{
	(void)timer;
}

static struct timer_list a = INIT_TIMER_FN(old_handler);
static DEFINE_TIMER(b, old_handler, 0, 1);
static DEFINE_TIMER(c, new_handler);
static struct timer_list d = TIMER_INITIALIZER(old_handler, 0, 2);
static struct timer_list e = TIMER_INITIALIZER(new_handler);

int each_in_its_way(timer_t posix)
{
	struct timer_list timers[3];
	int (*kernels)(struct timer_list *) = del_timer;
	int (*libcs)(timer_t) = timer_delete;

	init_timer(&timers[0]);
	timers[0].function = old_handler;
	setup_timer(&timers[1], old_handler, 3);
	timer_setup(&timers[2], new_handler, 0);
	if (timers[0].function != old_handler)
		timers[0].function(timers[0].data);
	timers[0].function = new_handler;
	return kernels(&a) + libcs(posix) + timer_delete(&b) + timer_delete(posix) +
	       (timer_delete)(posix) + timer_delete(timers) + del_timer_sync(&c) +
	       del_timer_async(&d) + timer_shutdown(&e);
}
