/*
 * Deletes at a random phase against a handler of 20 us:
 * provoke (posix|timer_list) ROUNDS SEED [free]
 *
 * Each round arms a timer and deletes it up to a millisecond after it was due, so
 * that few deletes land by themselves. What the handler uses stays; with `free` it
 * is freed behind the delete, which is the bug.
 */
#include <deadwalk/slab.h>
#include <deadwalk/timer.h>

#include "gates.h"

enum { HANDLER_NS = 20000, PHASE_NS = 1000000, ARM_NS = 1000000, KEPT = 64 };

struct object {
	struct timer_list timer;
	timer_t id;
	int work;
};

static unsigned seed;
static int frees;

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void sleep_until(long ns)
{
	struct timespec until = { .tv_sec = ns / 1000000000L, .tv_nsec = ns % 1000000000L };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static void work(struct object *object)
{
	long end = now_ns() + HANDLER_NS;
	volatile int *work = &object->work;

	while (now_ns() < end)
		(void)*work;
}

static void on_posix(union sigval value)
{
	work(value.sival_ptr);
}

static void on_list(unsigned long data)
{
	work((struct object *)data);
}

static void sleep_for_a_phase(long due_ns)
{
	sleep_until(due_ns + rand_r(&seed) % PHASE_NS);
}

static void posix_round(struct object *object)
{
	struct itimerspec soon = { .it_value.tv_nsec = ARM_NS };

	object->id = new_timer(on_posix, object);
	timer_settime(object->id, 0, &soon, NULL);
	sleep_for_a_phase(now_ns() + ARM_NS);
	timer_delete(object->id);
}

static void list_round(struct object *object)
{
	unsigned long due = jiffies + 2;

	setup_timer(&object->timer, on_list, (unsigned long)object);
	mod_timer(&object->timer, due);
	while (time_before(jiffies, due))
		sched_yield();
	sleep_for_a_phase(now_ns());
	del_timer(&object->timer);
}

int main(int argc, char **argv)
{
	int is_list = argc > 1 && !strcmp(argv[1], "timer_list");
	int rounds = argc > 2 ? atoi(argv[2]) : 1000;
	struct object *kept[KEPT] = { 0 };

	seed = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	frees = argc > 4 && !strcmp(argv[4], "free");
	for (int round = 0; round < rounds; round++) {
		struct object **object = &kept[round % KEPT];

		if (!*object)
			*object = kzalloc(sizeof **object, GFP_KERNEL);
		if (is_list)
			list_round(*object);
		else
			posix_round(*object);
		if (frees) {
			kfree(*object); /* too early */
			*object = NULL;
		}
	}
	return 0;
}
