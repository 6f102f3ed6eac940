/* libevent's timers, a heap; see work.h. */
#include <event2/event.h>
#include <event2/event_struct.h>

struct object {
	struct event timer;
};
#include "work.h"

static struct event_base *base;

static void handler(evutil_socket_t socket, short events, void *data)
{
	(void)socket;
	(void)events;
	(void)data;
	expired();
}

static void begin(void)
{
	base = event_base_new();
}

static void setup(struct object *object)
{
	evtimer_assign(&object->timer, base, handler, NULL);
}

static void add(struct object *object, unsigned long ms)
{
	struct timeval after = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

	evtimer_add(&object->timer, &after);
}

static void modify(struct object *object, unsigned long ms)
{
	add(object, ms);
}

static void delete(struct object *object)
{
	evtimer_del(&object->timer);
}

static void let_expire(unsigned long ms)
{
	usleep((ms + 2) * 1000);
	while (called < count)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

int main(int argc, char **argv)
{
	return work(argc, argv);
}
