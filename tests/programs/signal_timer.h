/*
 * Timers whose handlers are signal handlers, on a thread made for that: the signal
 * is blocked everywhere else, or the timer names the thread (SIGEV_THREAD_ID).
 */
#ifndef SIGNAL_TIMER_H
#define SIGNAL_TIMER_H
#include "gates.h"

/* How the timer sends its signal: SIGEV_SIGNAL, or SIGEV_THREAD_ID. */
#ifndef NOTIFY
#define NOTIFY SIGEV_SIGNAL
#endif
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define TIMER_SIGNAL (SIGRTMIN + 2)

static pthread_t runner;
static sem_t runner_is_there, runner_may_end;
static _Atomic pid_t runner_thread;

static inline void change_mask(int how, int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	pthread_sigmask(how, &set, NULL);
}

static inline void *run_handlers(void *number)
{
	change_mask(SIG_UNBLOCK, (int)(long)number);
	runner_thread = thread_id();
	gate_open(&runner_is_there);
	gate_pass(&runner_may_end);
	return NULL;
}

/* The thread that handlers of this signal run on; blocked here from now on. */
static inline void start_runner(int number)
{
	gate_init(&runner_is_there);
	gate_init(&runner_may_end);
	change_mask(SIG_BLOCK, number);
	if (pthread_create(&runner, NULL, run_handlers, (void *)(long)number))
		die("pthread_create");
	gate_pass(&runner_is_there);
}

/* Its last handler has ended then. */
static inline void end_runner(void)
{
	gate_open(&runner_may_end);
	pthread_join(runner, NULL);
}

static inline void set_handler(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = flags };

	if (sigaction(number, &action, NULL))
		die("sigaction");
}

static inline timer_t new_signal_timer(int number, void *data)
{
	struct sigevent event = {
		.sigev_notify = NOTIFY,
		.sigev_signo = number,
		.sigev_value.sival_ptr = data,
	};
	timer_t timer;

	if (NOTIFY == SIGEV_THREAD_ID)
		event.sigev_notify_thread_id = runner_thread;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		die("timer_create");
	return timer;
}
#endif
