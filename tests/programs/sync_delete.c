/*
 * What del=sync promises: sync_delete (running|self|disarm)
 * running: after timer_delete the handler is not running. self: a delete by the
 * handler itself does not wait. disarm: the same as running for timer_settime.
 * Prints "still running: N". (Expiries after the delete: posix/p1_queued.c.)
 */
#include "gates.h"

static const struct timespec HANDLER_TIME = { .tv_nsec = 20 * NS_PER_MS };

static sem_t armed, entered, done;
static atomic_int running;
static timer_t timer;
static int by_itself;

static void handler(union sigval value)
{
	(void)value;
	gate_pass(&armed);
	atomic_store(&running, 1);
	gate_open(&entered);
	if (by_itself)
		timer_delete(timer);
	else
		nanosleep(&HANDLER_TIME, NULL);
	atomic_store(&running, 0);
	gate_open(&done);
}

int main(int argc, char **argv)
{
	struct itimerspec never = { 0 };

	if (argc < 2)
		return 2;
	by_itself = !strcmp(argv[1], "self");
	gate_init(&armed);
	gate_init(&entered);
	gate_init(&done);
	timer = new_timer(handler, NULL);
	arm(timer, 0);
	gate_open(&armed);
	gate_pass(&entered);
	if (!strcmp(argv[1], "disarm"))
		timer_settime(timer, 0, &never, NULL);
	else if (!by_itself)
		timer_delete(timer);
	printf("still running: %d\n", by_itself ? 0 : atomic_load(&running));
	gate_pass(&done);
	if (!strcmp(argv[1], "disarm"))
		timer_delete(timer);
	return 0;
}
