/*
 * Threads that arm, change, delete and ask about timers that they share, as
 * fast as they can, while the timers expire.
 *
 * usage: timer_stress POLICY OPS
 *
 * Writes what the threads did, parted by blanks: "overlaps N" is how often a
 * handler ran while it ran already, which must be 0.
 */
#include <deadwalk/deadwalk.h>
#include <linux/timer.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define TIMERS 1000
/* Timers expire within so many jiffies. */
#define SOON 4

struct object {
	struct timer_list timer;
	int in_handler;
};

static struct object objects[TIMERS];
static long ops;
static unsigned long handled, overlaps, detached, bad_answers;

static unsigned long roll(unsigned long *dice)
{
	*dice ^= *dice << 13;
	*dice ^= *dice >> 7;
	*dice ^= *dice << 17;
	return *dice >> 11;
}

static void handler(struct timer_list *timer)
{
	struct object *object = from_timer(object, timer, timer);
	unsigned long number = __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);

	if (__atomic_exchange_n(&object->in_handler, 1, __ATOMIC_ACQ_REL))
		__atomic_fetch_add(&overlaps, 1, __ATOMIC_RELAXED);
	if (number % 64 == 0)
		for (volatile int spin = 0; spin < 20000; spin++)
			;
	switch (number % 8) {
	case 0:
		mod_timer(timer, jiffies + 1 + number / 8 % SOON);
		break;
	case 1:
		__atomic_fetch_add(&detached, del_timer(timer), __ATOMIC_RELAXED);
		break;
	}
	__atomic_store_n(&object->in_handler, 0, __ATOMIC_RELEASE);
}

static void act(struct object *object, unsigned long what, unsigned long when)
{
	struct timer_list *timer = &object->timer;
	int result = 0;

	switch (what % 20) {
	case 0 ... 3:
		if (!timer_pending(timer)) {
			timer->expires = when;
			add_timer(timer);
		}
		break;
	case 4 ... 10:
		mod_timer(timer, when);
		break;
	case 11 ... 13:
		result = del_timer(timer);
		break;
	case 14 ... 16:
		result = del_timer_sync(timer);
		break;
	case 17:
		result = try_to_del_timer_sync(timer);
		break;
	default:
		result = timer_pending(timer);
		if (result != 0 && result != 1)
			__atomic_fetch_add(&bad_answers, 1, __ATOMIC_RELAXED);
		return;
	}
	if (result > 0)
		__atomic_fetch_add(&detached, result, __ATOMIC_RELAXED);
}

static void *worker(void *number)
{
	unsigned long dice = 0x9e3779b97f4a7c15UL * ((unsigned long)number + 1);

	for (long op = 0; op < ops; op++) {
		unsigned long what = roll(&dice);

		act(&objects[roll(&dice) % TIMERS], what, jiffies + roll(&dice) % SOON);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	if (argc != 3 || deadwalk_set_policy(argv[1]) != 0)
		return 2;
	ops = atol(argv[2]);
	for (int i = 0; i < TIMERS; i++)
		timer_setup(&objects[i].timer, handler, 0);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, worker, (void *)i))
			return 2;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < TIMERS; i++)
		detached += timer_shutdown_sync(&objects[i].timer);
	sync_timers();
	printf("handled %lu overlaps %lu detached %lu\n", handled, overlaps, detached);
	return overlaps || bad_answers;
}
