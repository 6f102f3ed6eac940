/*
 * A clock of setitimer, alarm (-DALARM) or ualarm (-DUALARM) is stopped while its
 * handler runs on another thread. BAD: the handler goes on. FIXED: the stopper waits
 * for it. LOOKALIKE 4: it joins the handler's thread after it has stopped the clock. LOOKALIKE 1: the handler stops it. 2: the expiry was on its way, blocked,
 * when the clock was stopped, and its handler runs after that. 3: the signal is sent
 * by somebody, not by the clock.
 */
#include "signal_timer.h"
#include <sys/time.h>

static sem_t entered, go, done;

__attribute__((unused)) static void start(void)
{
#if defined ALARM
	alarm(1);
#elif defined UALARM
	ualarm(1000, 0);
#else
	struct itimerval when = { .it_value.tv_usec = 1000 };

	setitimer(ITIMER_REAL, &when, NULL);
#endif
}

static void stop(void)
{
#if defined ALARM
	alarm(0);
#elif defined UALARM
	ualarm(0, 0);
#else
	struct itimerval never = { 0 };

	setitimer(ITIMER_REAL, &never, NULL);
#endif
}

static void handler(int number)
{
	(void)number;
#if defined LOOKALIKE && LOOKALIKE < 3
#if LOOKALIKE == 1
	stop();
#endif
#else
	gate_open(&entered);
	gate_pass(&go);
#endif
	gate_open(&done);
}

int main(void)
{
	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	signal(SIGALRM, handler);
#if defined LOOKALIKE && LOOKALIKE == 2
	sigset_t pending;

	change_mask(SIG_BLOCK, SIGALRM);
	start();
	do
		sigpending(&pending);
	while (!sigismember(&pending, SIGALRM));
	stop();
	change_mask(SIG_UNBLOCK, SIGALRM);
	gate_pass(&done);
	return 0;
#endif
	start_runner(SIGALRM);
#if defined LOOKALIKE && LOOKALIKE == 1
	start();
	gate_pass(&done);
	end_runner();
	return 0;
#elif defined LOOKALIKE && LOOKALIKE == 3
	kill(getpid(), SIGALRM);
#else
	start();
#endif
	gate_pass(&entered);
#ifdef FIXED
	gate_open(&go);
	gate_pass(&done);
	end_runner();
	stop();
	return 0;
#endif
	stop();
	gate_open(&go);
#if defined LOOKALIKE && LOOKALIKE == 4
	end_runner();
	return 0;
#endif
	/* Seen to its end, but not waited for by any call. */
	gate_open(&runner_may_end);
	wait_thread_gone(runner_thread);
	return 0;
}
