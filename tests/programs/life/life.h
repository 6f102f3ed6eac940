/*
 * Timers of every kind under one set of names, for programs about what timers live
 * through. The kind is the first argument: thread (SIGEV_THREAD), signal
 * (SIGEV_SIGNAL), thread-id (SIGEV_THREAD_ID), itimer (setitimer) or timerfd.
 *
 * What the program did is counted in memory that its children share, and told on
 * stderr by life_end: the test compares it with deadwalk's own counts. What must not
 * differ from a plain run goes to stdout.
 */
#ifndef LIFE_H
#define LIFE_H
#include "../gates.h"
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum kind { THREAD, SIGNAL, THREAD_ID, ITIMER, TIMERFD, KINDS };
static const char *const kind_names[KINDS] = { "thread", "signal", "thread-id", "itimer", "timerfd" };
static enum kind kind;

struct counts {
	atomic_int created, armed, deleted, handled;
};
static struct counts *counts;

/* A timer; which of its fields is of use depends on the kind. */
struct timer {
	timer_t id;
	int fd;
	int which;
};

static sem_t expired;
/* Called by the handlers, if set, before they tell of themselves. */
static void (*in_handler)(void *data);
static pthread_attr_t *attributes;

static inline int timer_signal(void)
{
	return kind == ITIMER ? SIGALRM : SIGRTMIN + 3;
}

static inline void tell(void *data)
{
	if (in_handler)
		in_handler(data);
	counts->handled++;
	gate_open(&expired);
}

static void on_thread(union sigval value)
{
	handler_starts();
	tell(value.sival_ptr);
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)signo;
	(void)context;
	tell(info->si_code == SI_TIMER ? info->si_value.sival_ptr : NULL);
	errno = saved;
}

static inline void handle_signals(int flags)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };
	const int signals[] = { SIGALRM, SIGVTALRM, SIGPROF, SIGRTMIN + 3 };

	sigemptyset(&action.sa_mask);
	for (size_t at = 0; at < sizeof signals / sizeof *signals; at++)
		if (sigaction(signals[at], &action, NULL))
			die("sigaction");
}

/* Memory for the counts that children, and programs after exec, share. */
static inline void share_counts(int fd)
{
	counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE,
		      fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (counts == MAP_FAILED)
		die("mmap");
}

static inline void life_begin(int argc, char **argv)
{
	if (argc < 2)
		exit(2);
	while (kind < KINDS && strcmp(kind_names[kind], argv[1]))
		kind++;
	if (kind == KINDS)
		exit(2);
	share_counts(-1);
	gate_init(&expired);
	handle_signals(0);
}

static inline int life_end(void)
{
	fprintf(stderr, "created %d armed %d deleted %d handled %d\n", counts->created,
		counts->armed, counts->deleted, counts->handled);
	return 0;
}

/* Returns an errno, 0 if the timer was made. */
static inline int try_make(struct timer *timer, clockid_t clock, void *data)
{
	struct sigevent event = { .sigev_value.sival_ptr = data };

	*timer = (struct timer){ .fd = -1, .which = ITIMER_REAL };
	switch (kind) {
	case THREAD:
		event.sigev_notify = SIGEV_THREAD;
		event.sigev_notify_function = on_thread;
		event.sigev_notify_attributes = attributes;
		break;
	case THREAD_ID:
		event.sigev_notify = SIGEV_THREAD_ID;
		event.sigev_notify_thread_id = thread_id();
		event.sigev_signo = timer_signal();
		break;
	case SIGNAL:
		event.sigev_notify = SIGEV_SIGNAL;
		event.sigev_signo = timer_signal();
		break;
	case TIMERFD:
		timer->fd = timerfd_create(clock, 0);
		if (timer->fd < 0)
			return errno;
		counts->created++;
		return 0;
	default:
		return 0;
	}
	if (timer_create(clock, &event, &timer->id))
		return errno;
	counts->created++;
	return 0;
}

static inline struct timer make(void *data)
{
	struct timer timer;

	if (try_make(&timer, CLOCK_MONOTONIC, data))
		die("make");
	return timer;
}

/* Sets it to expire at or in `first`, then each `every`; 0 is never. */
static inline int set(struct timer *timer, int flags, struct timespec first, struct timespec every)
{
	struct itimerspec when = { .it_value = first, .it_interval = every };
	struct itimerval coarse = { { every.tv_sec, every.tv_nsec / 1000 },
				    { first.tv_sec, (first.tv_nsec + 999) / 1000 } };
	int failed;

	if (kind == TIMERFD)
		failed = timerfd_settime(timer->fd, flags, &when, NULL);
	else if (kind == ITIMER)
		failed = setitimer(timer->which, &coarse, NULL);
	else
		failed = timer_settime(timer->id, flags, &when, NULL);
	if (failed)
		return errno;
	if (first.tv_sec || first.tv_nsec)
		counts->armed++;
	else
		counts->deleted++;
	return 0;
}

static inline struct timespec ms_of(long ms)
{
	return (struct timespec){ ms / 1000, ms % 1000 * NS_PER_MS };
}

/* One expiry in `ms` milliseconds; 0 is "at once". */
static inline void arm_in(struct timer *timer, long ms)
{
	struct timespec first = ms_of(ms);

	first.tv_nsec += !ms;
	if (set(timer, 0, first, ms_of(0)))
		die("arm");
}

static inline void disarm(struct timer *timer)
{
	if (set(timer, 0, ms_of(0), ms_of(0)))
		die("disarm");
}

/* Deletes it; of setitimer's a disarming is all there is. */
static inline void unmake(struct timer *timer)
{
	if (kind == ITIMER) {
		disarm(timer);
		return;
	}
	if (kind == TIMERFD ? close(timer->fd) : timer_delete(timer->id))
		die("unmake");
	counts->deleted++;
}

/* Until it has expired, and its handler has ended for good; how often it had. */
static inline uint64_t await(struct timer *timer)
{
	uint64_t times = 1;

	if (kind == TIMERFD) {
		if (read(timer->fd, &times, sizeof times) != sizeof times)
			die("read");
		counts->handled++;
		return times;
	}
	gate_pass(&expired);
	if (kind == THREAD)
		settle();
	return times;
}

/* A whole life, `times` over. */
static inline void live(int times)
{
	while (times--) {
		struct timer timer = make(NULL);

		arm_in(&timer, HOUR_MS);
		disarm(&timer);
		arm_in(&timer, 0);
		await(&timer);
		unmake(&timer);
	}
}
#endif
