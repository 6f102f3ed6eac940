/* libuv's timers, a heap; see work.h. */
#include <uv.h>

struct object {
	uv_timer_t timer;
};
#include "work.h"

static void handler(uv_timer_t *timer)
{
	(void)timer;
	expired();
}

static void begin(void)
{
}

static void setup(struct object *object)
{
	uv_timer_init(uv_default_loop(), &object->timer);
}

static void add(struct object *object, unsigned long ms)
{
	uv_timer_start(&object->timer, handler, ms, 0);
}

static void modify(struct object *object, unsigned long ms)
{
	uv_timer_start(&object->timer, handler, ms, 0);
}

static void delete(struct object *object)
{
	uv_timer_stop(&object->timer);
}

static void let_expire(unsigned long ms)
{
	usleep((ms + 2) * 1000);
	while (called < count)
		uv_run(uv_default_loop(), UV_RUN_NOWAIT);
}

int main(int argc, char **argv)
{
	return work(argc, argv);
}
