/* libev's timers, a heap; see work.h. */
#include <ev.h>

struct object {
	ev_timer timer;
};
#include "work.h"

static struct ev_loop *loop;

static void handler(struct ev_loop *on, ev_timer *timer, int events)
{
	(void)on;
	(void)timer;
	(void)events;
	expired();
}

static void begin(void)
{
	loop = ev_default_loop(0);
}

static void setup(struct object *object)
{
	ev_timer_init(&object->timer, handler, 0, 0);
}

static void add(struct object *object, unsigned long ms)
{
	ev_timer_set(&object->timer, (double)ms / 1000, 0);
	ev_timer_start(loop, &object->timer);
}

static void modify(struct object *object, unsigned long ms)
{
	object->timer.repeat = (double)ms / 1000;
	ev_timer_again(loop, &object->timer);
}

static void delete(struct object *object)
{
	ev_timer_stop(loop, &object->timer);
}

static void let_expire(unsigned long ms)
{
	usleep((ms + 2) * 1000);
	while (called < count)
		ev_run(loop, EVRUN_NOWAIT);
}

int main(int argc, char **argv)
{
	return work(argc, argv);
}
