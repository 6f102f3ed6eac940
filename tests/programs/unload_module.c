/* As unload_plugin.c, with a timer_list in the module's own data. */
#include <linux/timer.h>
#include <linux/jiffies.h>
#include "unload.h"

static struct shared *shared;

static void module_handler(struct timer_list *timer)
{
	(void)timer;
	sem_post(&shared->entered);
	sem_wait(&shared->go);
	sem_post(&shared->done);
}

static DEFINE_TIMER(timer, module_handler);

void start(struct shared *with, long ms)
{
	shared = with;
	mod_timer(&timer, jiffies + msecs_to_jiffies(ms));
}

void stop(void)
{
	del_timer(&timer);
}

#ifdef DESTRUCTOR
static void __attribute__((destructor)) unloaded(void)
{
	del_timer_sync(&timer);
}
#endif
