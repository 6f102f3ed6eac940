/* The checked timer_list engine of libdeadwalk.so; see work.h. HZ is 1000. */
#define HZ 1000
#include <deadwalk/timer.h>

#include <sched.h>

struct object {
	struct timer_list timer;
};
#include "work.h"

static void handler(struct timer_list *timer)
{
	(void)timer;
	expired();
}

static void begin(void)
{
}

static void setup(struct object *object)
{
	timer_setup(&object->timer, handler, 0);
}

static void add(struct object *object, unsigned long ms)
{
	object->timer.expires = jiffies + ms;
	add_timer(&object->timer);
}

static void modify(struct object *object, unsigned long ms)
{
	mod_timer(&object->timer, jiffies + ms);
}

static void delete(struct object *object)
{
	if (del_timer_sync(&object->timer) != 1)
		abort();
}

static void let_expire(unsigned long ms)
{
	usleep(ms * 1000);
	while (__atomic_load_n(&called, __ATOMIC_ACQUIRE) < count)
		usleep(1000);
}

int main(int argc, char **argv)
{
	return work(argc, argv);
}
