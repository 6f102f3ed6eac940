/*
 * One pattern, every way to have a timer. A program is compiled with one of
 * -DAPI_THREAD (SIGEV_THREAD, the default), -DAPI_SIGNAL (SIGEV_SIGNAL),
 * -DAPI_THREAD_ID (SIGEV_THREAD_ID), -DAPI_SETITIMER and -DAPI_ALARM.
 *
 * Where the handler is a signal's, a thread of its own takes the signal, the
 * receiver, and every other thread has it blocked: handler and deleter are two
 * threads in each of them. A receiver waits for nothing but its end, so what a
 * handler does there interrupts nobody.
 *
 * setitimer and alarm have no value to hand over: the handler finds its data by
 * a global pointer, and a process has one such timer.
 */
#ifndef TIMERS_H
#define TIMERS_H
#include "../gates.h"

#include <sys/time.h>

#if defined API_SETITIMER || defined API_ALARM
#define API_CLOCK
#elif !defined API_THREAD && !defined API_SIGNAL && !defined API_THREAD_ID
#define API_THREAD
#endif

/* So small that the stacks in a report name the program's own functions. */
#define CALL static inline __attribute__((always_inline))

#define US_PER_MS 1000L
#define MS_PER_S 1000L

/*
 * A gate that only directs a race: in real code it is chance that opens it, and
 * nothing orders what stands before it and behind it. With -DUNSEEN it is a file that
 * is read by bare system calls, so that a checker of races does not take it for a
 * synchronisation that the bad code lacks. To be made before the timer.
 */
#ifdef UNSEEN
#include <sys/eventfd.h>

static inline void chance_init(sem_t *gate)
{
	int fd = eventfd(0, 0);

	memcpy(gate, &fd, sizeof fd);
}

static inline void chance_open(sem_t *gate)
{
	unsigned long one = 1;

	if (syscall(SYS_write, *(int *)gate, &one, sizeof one) < 0)
		die("eventfd");
}

static inline void chance_pass(sem_t *gate)
{
	unsigned long opened;

	while (syscall(SYS_read, *(int *)gate, &opened, sizeof opened) < 0)
		if (errno != EINTR)
			die("eventfd");
}
#else
#define chance_init gate_init
#define chance_open gate_open
#define chance_pass gate_pass
#endif

/* A handler is defined by HANDLER(name) { ... }, and its data is HANDLER_DATA. */
#ifdef API_THREAD
#define HANDLER(name) void name(__attribute__((unused)) union sigval value)
#define HANDLER_DATA (value.sival_ptr)
typedef void handler_fn(union sigval);
#else
#define HANDLER(name)                                                                          \
	void name(__attribute__((unused)) int signo, __attribute__((unused)) siginfo_t *info,      \
		  __attribute__((unused)) void *context)
typedef void handler_fn(int, siginfo_t *, void *);
#ifdef API_CLOCK
static void *clock_data;
#define HANDLER_DATA clock_data
#else
#define HANDLER_DATA (info->si_value.sival_ptr)
#endif

/* The threads that take signals; each ends when its gate is opened. */
enum { RECEIVERS = 4 };
#define FIRST_SIGNAL (SIGRTMIN + 1)

struct receiver {
	pthread_t thread;
	sem_t stop, ready;
	int signo;
	pid_t tid;
};

static struct receiver receivers[RECEIVERS];
static int receiver_count;

static void *receive(void *data)
{
	struct receiver *receiver = data;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, receiver->signo);
	receiver->tid = thread_id();
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	gate_open(&receiver->ready);
	gate_pass(&receiver->stop);
	return NULL;
}

/* Blocks every signal that a timer may have, in this thread and those it makes. */
static inline void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	for (int i = 0; i < RECEIVERS; i++)
		sigaddset(&set, FIRST_SIGNAL + i);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* A thread that takes the signal. */
static inline struct receiver *new_receiver(int signo)
{
	struct receiver *receiver = &receivers[receiver_count++];

	block_signals();
	receiver->signo = signo;
	gate_init(&receiver->stop);
	gate_init(&receiver->ready);
	if (pthread_create(&receiver->thread, NULL, receive, receiver))
		die("pthread_create");
	gate_pass(&receiver->ready);
	return receiver;
}

static inline void set_handler(int signo, handler_fn *handler, int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&action.sa_mask);
	if (sigaction(signo, &action, NULL))
		die("sigaction");
}
#endif

/* No handler runs any more, and none will start: only of use where signals make them. */
static inline void end_receivers(void)
{
#ifndef API_THREAD
	for (; receiver_count; receiver_count--) {
		gate_open(&receivers[receiver_count - 1].stop);
		pthread_join(receivers[receiver_count - 1].thread, NULL);
	}
#endif
}

/*
 * How a bad program learns that its handler is done, before it ends: it looks, and
 * waits for nobody, for that would be half of what it lacks.
 */
static atomic_int is_over;

static inline void say_over(void)
{
	atomic_store(&is_over, 1);
}

static inline void look_until_over(void)
{
	while (!atomic_load(&is_over))
		sched_yield();
}

/* Passes the gate behind which a bad program's handler waits, and lets it get there. */
static inline void chance_pass_asleep(sem_t *entered)
{
	chance_pass(entered);
	wait_thread_asleep(handler_thread);
}

/* Waits until the handler that has said "done" has returned. */
static inline void wait_handler_over(void)
{
#ifdef API_THREAD
	wait_thread_gone(handler_thread);
#else
	wait_thread_asleep(handler_thread);
#endif
}

/* The main thread's last act: what ran has been judged by how it ended. */
static inline void settle_all(void)
{
#ifdef API_THREAD
	settle();
#else
	end_receivers();
#endif
}

/* A timer with a handler and its data, not armed. */
CALL timer_t make_timer(handler_fn *handler, void *data)
{
#if defined API_THREAD
	return new_timer(handler, data);
#elif defined API_CLOCK
	clock_data = data;
	set_handler(SIGALRM, handler, SA_RESTART);
	new_receiver(SIGALRM);
	return NULL;
#else
	int signo = FIRST_SIGNAL + receiver_count;
	struct receiver *receiver = new_receiver(signo);
	struct sigevent event = { .sigev_signo = signo, .sigev_value.sival_ptr = data };
	timer_t timer;

	set_handler(signo, handler, SA_RESTART);
#ifdef API_SIGNAL
	(void)receiver;
	event.sigev_notify = SIGEV_SIGNAL;
#else
	event.sigev_notify = SIGEV_THREAD_ID;
	event._sigev_un._tid = receiver->tid;
#endif
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		die("timer_create");
	return timer;
#endif
}

/* Arms it: an expiry in `ms` milliseconds (0 is at once), then each `interval_ms`. */
CALL void start_each(timer_t timer, long ms, long interval_ms)
{
#if defined API_ALARM
	(void)timer;
	if (ms < MS_PER_S)
		ualarm(ms ? ms * US_PER_MS : 1, interval_ms * US_PER_MS);
	else
		alarm(ms / MS_PER_S);
#elif defined API_SETITIMER
	struct itimerval when = {
		.it_value = { .tv_sec = ms / MS_PER_S, .tv_usec = ms % MS_PER_S * US_PER_MS + !ms },
		.it_interval = { .tv_sec = interval_ms / MS_PER_S,
				 .tv_usec = interval_ms % MS_PER_S * US_PER_MS },
	};

	(void)timer;
	if (setitimer(ITIMER_REAL, &when, NULL))
		die("setitimer");
#else
	struct itimerspec when = {
		.it_value = { .tv_sec = ms / MS_PER_S, .tv_nsec = ms % MS_PER_S * NS_PER_MS + !ms },
		.it_interval = { .tv_sec = interval_ms / MS_PER_S,
				 .tv_nsec = interval_ms % MS_PER_S * NS_PER_MS },
	};

	if (timer_settime(timer, 0, &when, NULL))
		die("timer_settime");
#endif
}

/* Arms it for one expiry. */
CALL void start(timer_t timer, long ms)
{
	start_each(timer, ms, 0);
}

/* Disarms it; it may be armed again. */
CALL void stop(timer_t timer)
{
#if defined API_ALARM
	(void)timer;
	alarm(0);
#elif defined API_SETITIMER
	struct itimerval never = { 0 };

	(void)timer;
	if (setitimer(ITIMER_REAL, &never, NULL))
		die("setitimer");
#else
	struct itimerspec never = { 0 };

	if (timer_settime(timer, 0, &never, NULL))
		die("timer_settime");
#endif
}

/* Deletes it; setitimer's and alarm's can only be disarmed. */
CALL void cancel(timer_t timer)
{
#ifdef API_CLOCK
	stop(timer);
#else
	timer_delete(timer);
#endif
}

/* Whether an expiry is to come. */
CALL int is_armed(timer_t timer)
{
#ifdef API_CLOCK
	struct itimerval left;

	(void)timer;
	getitimer(ITIMER_REAL, &left);
	return left.it_value.tv_sec || left.it_value.tv_usec;
#else
	struct itimerspec left;

	if (timer_gettime(timer, &left))
		die("timer_gettime");
	return left.it_value.tv_sec || left.it_value.tv_nsec;
#endif
}
#endif
