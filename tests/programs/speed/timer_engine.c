/*
 * What a timer costs a C program: nanoseconds per add, mod, delete and expiry,
 * and bytes per pending timer, its own 48 among them.
 *
 *   timer_engine COUNT [order=creation|random]
 *
 * Every timer is a heap block of its own, initialised before the clock starts.
 * Expiries are random in a span of 2^20 ticks; `order` is that in which the timers
 * are touched. One thread calls, the ticks are real: add, mod and delete are the
 * best of several rounds over all timers. `expire` has all of them due in one tick
 * and is the time from the first handler to the last, on the timer thread.
 */
#include <deadwalk/timer.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No timer expires before the rounds are over ... */
#define FIRST (1000 * HZ)
/* ... nor later than that. */
#define SPAN (1u << 20)
/* Calls per operation, at least, and rounds. */
#define CALLS 3000000
#define ROUNDS_MIN 5
#define ROUNDS_MAX 300

static size_t count;
static struct timer_list **timers;
/* NULL: in the order of their creation. */
static uint32_t *order;
static atomic_size_t called;
static uint64_t first_ns, last_ns;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint32_t number(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static void expired(struct timer_list *timer)
{
	size_t n = atomic_fetch_add_explicit(&called, 1, memory_order_relaxed) + 1;

	(void)timer;
	if (n == 1)
		first_ns = now_ns();
	if (n == count) {
		last_ns = now_ns();
		atomic_thread_fence(memory_order_release);
	}
}

static struct timer_list *timer_at(size_t i)
{
	return timers[order ? order[i] : i];
}

static void add(struct timer_list *timer)
{
	timer->expires = jiffies + FIRST + number() % SPAN;
	add_timer(timer);
}

static void modify(struct timer_list *timer)
{
	mod_timer(timer, jiffies + FIRST + number() % SPAN);
}

static void delete(struct timer_list *timer)
{
	if (del_timer_sync(timer) != 1)
		abort();
}

static double time_of(void (*operation)(struct timer_list *))
{
	uint64_t start = now_ns();

	for (size_t i = 0; i < count; i++)
		operation(timer_at(i));
	return (double)(now_ns() - start) / (double)count;
}

static double least(double a, double b)
{
	return a < b ? a : b;
}

/* Bytes of this process in memory. */
static size_t resident(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		abort();
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* All in one tick, half a second after the last was queued. */
static double expire(void)
{
	unsigned long at = jiffies + HZ / 2 + count / 20000;

	atomic_store(&called, 0);
	for (size_t i = 0; i < count; i++)
		mod_timer(timer_at(i), at);
	while (atomic_load(&called) < count)
		usleep(1000);
	atomic_thread_fence(memory_order_acquire);
	while (timer_pending(timer_at(count - 1)))
		sched_yield();
	return (double)(last_ns - first_ns) / (double)count;
}

int main(int argc, char **argv)
{
	double adds = 1e9, mods = 1e9, deletes = 1e9, expiries = 1e9;
	size_t rounds, before, pending = 0;

	if (argc < 2 || (count = strtoul(argv[1], NULL, 10)) == 0) {
		fprintf(stderr, "usage: timer_engine COUNT [order=creation|random]\n");
		return 2;
	}
	timers = malloc(count * sizeof(*timers));
	if (argc > 2 && strcmp(argv[2], "order=random") == 0)
		order = malloc(count * sizeof(*order));
	for (size_t i = 0; i < count; i++)
		timers[i] = NULL;
	for (size_t i = 0; order && i < count; i++) {
		size_t other = ((uint64_t)number() * (i + 1)) >> 32;

		order[i] = order[other];
		order[other] = (uint32_t)i;
	}
	before = resident();
	for (size_t i = 0; i < count; i++) {
		timers[i] = malloc(sizeof(**timers));
		timer_setup(timers[i], expired, 0);
	}
	rounds = CALLS / count;
	rounds = rounds < ROUNDS_MIN ? ROUNDS_MIN : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	for (size_t i = 0; i < rounds; i++) {
		adds = least(adds, time_of(add));
		mods = least(mods, time_of(modify));
		if (i == 0)
			pending = resident();
		deletes = least(deletes, time_of(delete));
	}
	for (size_t i = 0; i < 3; i++)
		expiries = least(expiries, expire());
	printf("add %.1f\nmod %.1f\ndelete %.1f\nexpire %.1f\nbytes %.0f\n", adds, mods, deletes,
	       expiries, (double)(pending - before) / (double)count);
	return 0;
}
