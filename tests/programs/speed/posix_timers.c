/*
 * posix_timers pair|expiry KIND: CPU time of an arming and its delete, or of an
 * expiry with its handler, in nanoseconds. KIND is thread (SIGEV_THREAD), signal
 * (SIGEV_SIGNAL), thread-id (SIGEV_THREAD_ID), itimer or timerfd. Printed is the
 * least of some batches, for whatever else the machine does only adds.
 */
#include "../gates.h"
#include <stdint.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum {
	/* Of each batch, and of what. libc walks a list of its SIGEV_THREAD timers to
	 * delete one: with many of them nothing else would be measured. */
	PAIR_BATCHES = 300,
	TIMERS = 50,
	EXPIRY_BATCHES = 15,
	EXPIRIES = 500,
	/* Between two expiries: the handler is long over by then. */
	PERIOD_US = 50,
};

struct kind {
	const char *name;
	int notify;
	/* Arms and deletes TIMERS of them; the CPU time. */
	long (*pairs)(const struct kind *kind);
	/* Lets EXPIRIES expire; the CPU time. */
	long (*expiries)(const struct kind *kind);
};

static atomic_int expired;
static sem_t handled;

static long cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void on_thread(union sigval value)
{
	(void)value;
	gate_open(&handled);
}

static void on_signal(int signal)
{
	(void)signal;
	expired++;
}

static timer_t make(const struct kind *kind)
{
	struct sigevent event = { .sigev_notify = kind->notify };
	timer_t timer;

	if (kind->notify == SIGEV_THREAD)
		return new_timer(on_thread, NULL);
	event.sigev_signo = SIGALRM;
	event.sigev_notify_thread_id = thread_id();
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		die("timer_create");
	return timer;
}

static long timer_pairs(const struct kind *kind)
{
	static timer_t timers[TIMERS];
	long start;

	for (int at = 0; at < TIMERS; at++)
		timers[at] = make(kind);
	start = cpu_ns();
	for (int at = 0; at < TIMERS; at++) {
		arm(timers[at], HOUR_MS);
		timer_delete(timers[at]);
	}
	return cpu_ns() - start;
}

/* Until so many have come; whoever is late to pause is woken by the next. */
static void pause_for_expiries(void)
{
	while (expired < EXPIRIES)
		pause();
}

static long timer_expiries(const struct kind *kind)
{
	struct itimerspec every = { 0 };
	timer_t timer = make(kind);
	long start = cpu_ns();

	every.it_value.tv_nsec = every.it_interval.tv_nsec = PERIOD_US * 1000;
	expired = 0;
	if (timer_settime(timer, 0, &every, NULL))
		die("timer_settime");
	pause_for_expiries();
	timer_delete(timer);
	return cpu_ns() - start;
}

/* One by one, each armed when the one before is over: threads pile up otherwise. */
static long thread_expiries(const struct kind *kind)
{
	timer_t timer = make(kind);
	long start = cpu_ns();

	for (int at = 0; at < EXPIRIES; at++) {
		arm(timer, 0);
		gate_pass(&handled);
	}
	timer_delete(timer);
	return cpu_ns() - start;
}

static long itimer_pairs(const struct kind *kind)
{
	struct itimerval never = { 0 }, hour = { .it_value.tv_sec = 3600 };
	long start = cpu_ns();

	(void)kind;
	for (int at = 0; at < TIMERS; at++) {
		setitimer(ITIMER_REAL, &hour, NULL);
		setitimer(ITIMER_REAL, &never, NULL);
	}
	return cpu_ns() - start;
}

static long itimer_expiries(const struct kind *kind)
{
	struct itimerval never = { 0 }, every = { { 0, PERIOD_US }, { 0, PERIOD_US } };
	long start = cpu_ns();

	(void)kind;
	expired = 0;
	setitimer(ITIMER_REAL, &every, NULL);
	pause_for_expiries();
	setitimer(ITIMER_REAL, &never, NULL);
	return cpu_ns() - start;
}

static long timerfd_pairs(const struct kind *kind)
{
	struct itimerspec hour = { .it_value.tv_sec = 3600 };
	static int timers[TIMERS];
	long start;

	(void)kind;
	for (int at = 0; at < TIMERS; at++)
		timers[at] = timerfd_create(CLOCK_MONOTONIC, 0);
	start = cpu_ns();
	for (int at = 0; at < TIMERS; at++) {
		timerfd_settime(timers[at], 0, &hour, NULL);
		close(timers[at]);
	}
	return cpu_ns() - start;
}

static long timerfd_expiries(const struct kind *kind)
{
	struct timespec period = { .tv_nsec = PERIOD_US * 1000 };
	struct itimerspec every = { period, period };
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	long start = cpu_ns();
	uint64_t times;

	(void)kind;
	timerfd_settime(timer, 0, &every, NULL);
	for (int at = 0; at < EXPIRIES; at++)
		if (read(timer, &times, sizeof times) != sizeof times)
			die("read");
	close(timer);
	return cpu_ns() - start;
}

static const struct kind kinds[] = {
	{ "thread", SIGEV_THREAD, timer_pairs, thread_expiries },
	{ "signal", SIGEV_SIGNAL, timer_pairs, timer_expiries },
	{ "thread-id", SIGEV_THREAD_ID, timer_pairs, timer_expiries },
	{ "itimer", 0, itimer_pairs, itimer_expiries },
	{ "timerfd", 0, timerfd_pairs, timerfd_expiries },
};

static const struct kind *kind_of(const char *name)
{
	for (size_t at = 0; at < sizeof kinds / sizeof *kinds; at++)
		if (!strcmp(kinds[at].name, name))
			return &kinds[at];
	exit(2);
}

/* All threads on one processor: where a thread wakes up is half of what it costs. */
static void stay_here(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof here, &here);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	long least = 0;

	if (argc < 3)
		return 2;
	const struct kind *kind = kind_of(argv[2]);
	int is_pair = !strcmp(argv[1], "pair");

	stay_here();
	gate_init(&handled);
	if (sigaction(SIGALRM, &action, NULL))
		die("sigaction");
	for (int batch = is_pair ? PAIR_BATCHES : EXPIRY_BATCHES; batch > 0; batch--) {
		long took = is_pair ? kind->pairs(kind) : kind->expiries(kind);

		if (!least || took < least)
			least = took;
	}
	printf("%.1f\n", (double)least / (is_pair ? TIMERS : EXPIRIES));
	return 0;
}
