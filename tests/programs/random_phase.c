/*
 * Two threads delete timers at a random phase against short handlers, and the
 * program keeps an oracle of its own: random_phase [TIMERS] [SEED]
 *
 * lower: the handler's first line was seen before timer_delete was called, and
 *        its last line had not been reached when it returned: certainly landed.
 * upper: the handler ran at all, and its thread was not provably gone before
 *        timer_delete was called: everything that may have landed. The watcher's
 *        idea of "running" begins a little before the handler's first line and
 *        ends a little after its last, which only the thread's end bounds.
 */
#include "gates.h"
#include <sys/prctl.h>

enum { THREADS = 2, ARM_NS = 50000, HANDLER_NS = 60000, PHASE_NS = 400000, ROOM = 256 };

struct record {
	_Atomic pid_t tid; /* set on the handler's first line */
	atomic_int left;   /* set on its last line */
	char entered_before, left_after, gone_before;
};

struct driver {
	pthread_t thread;
	struct record *records;
	int timers;
	unsigned seed;
};

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void handler(union sigval value)
{
	struct record *record = value.sival_ptr;
	long end;

	atomic_store(&record->tid, thread_id());
	end = now_ns() + HANDLER_NS;
	while (now_ns() < end)
		;
	atomic_store(&record->left, 1);
}

static void one_timer(struct record *record, unsigned *seed)
{
	struct timespec phase = { .tv_nsec = rand_r(seed) % PHASE_NS };
	struct itimerspec soon = { .it_value.tv_nsec = ARM_NS };
	timer_t timer = new_timer(handler, record);
	pid_t tid;

	timer_settime(timer, 0, &soon, NULL);
	nanosleep(&phase, NULL);
	tid = atomic_load(&record->tid);
	record->entered_before = tid != 0;
	record->gone_before = tid && !thread_lives(tid);
	timer_delete(timer);
	record->left_after = atomic_load(&record->left);
}

static void *drive(void *data)
{
	struct driver *driver = data;

	prctl(PR_SET_TIMERSLACK, 1UL);
	for (int i = 0; i < driver->timers; i++)
		one_timer(&driver->records[i], &driver->seed);
	return NULL;
}

/* Every handler that was started has ended; late starters included. */
static void let_handlers_end(const pid_t *before, int known)
{
	pid_t now[ROOM];
	long end = now_ns() + 2000 * NS_PER_MS;

	while (thread_added(before, known, now, thread_list(now, ROOM)) && now_ns() < end)
		sched_yield();
}

int main(int argc, char **argv)
{
	int timers = (argc > 1 ? atoi(argv[1]) : 10000) / THREADS;
	unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
	struct driver drivers[THREADS];
	static struct record warm_up;
	int lower = 0, upper = 0, ran = 0, known;
	pid_t before[ROOM];
	timer_t timer = new_timer(handler, &warm_up);

	arm(timer, 0);
	while (!warm_up.tid)
		sched_yield();
	wait_thread_gone(warm_up.tid);
	timer_delete(timer);
	known = thread_list(before, ROOM);

	for (int i = 0; i < THREADS; i++) {
		drivers[i].records = calloc(timers, sizeof(struct record));
		drivers[i].timers = timers;
		drivers[i].seed = seed * 1000 + i;
		pthread_create(&drivers[i].thread, NULL, drive, &drivers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(drivers[i].thread, NULL);
	let_handlers_end(before, known);

	for (int i = 0; i < THREADS; i++)
		for (int j = 0; j < timers; j++) {
			struct record *r = &drivers[i].records[j];

			ran += r->tid != 0;
			lower += r->entered_before && !r->left_after;
			upper += r->tid && !r->gone_before;
		}
	printf("oracle lower=%d upper=%d ran=%d deletes=%d\n", lower, upper, ran, timers * THREADS + 1);
	return 0;
}
