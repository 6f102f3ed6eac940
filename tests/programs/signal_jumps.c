/*
 * Three timers' signals on one thread, one of whose handlers jumps away, often from
 * the first or last instructions of another's. At the end, with all of them blocked,
 * another thread deletes the timers: no handler runs.
 */
#include "gates.h"

#include <setjmp.h>

#define CALLS 50000

static sigjmp_buf start;
static atomic_int calls;
static timer_t timers[3];

static void jump(int number)
{
	(void)number;
	calls++;
	siglongjmp(start, 1);
}

static void count(int number)
{
	(void)number;
	calls++;
	for (volatile int i = 0; i < 300; i++)
		;
}

static void *delete_all(void *unused)
{
	for (int i = 0; i < 3; i++)
		if (timer_delete(timers[i]))
			die("timer_delete");
	return unused;
}

int main(void)
{
	static const int numbers[] = { SIGUSR1, SIGUSR2, SIGALRM };
	static const long intervals_ns[] = { 43000, 31100, 37300 };
	sigset_t all;
	pthread_t deleter;

	signal(SIGUSR1, jump);
	signal(SIGUSR2, count);
	signal(SIGALRM, count);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (int i = 0; i < 3; i++) {
		struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = numbers[i] };
		struct itimerspec often = { .it_value.tv_nsec = NS_PER_MS,
					    .it_interval.tv_nsec = intervals_ns[i] };

		if (timer_create(CLOCK_MONOTONIC, &event, &timers[i]) ||
		    timer_settime(timers[i], 0, &often, NULL))
			die("a timer");
	}
	sigsetjmp(start, 1);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	while (calls < CALLS)
		;
	sigprocmask(SIG_BLOCK, &all, NULL);
	if (pthread_create(&deleter, NULL, delete_all, NULL) || pthread_join(deleter, NULL))
		die("a thread");
	return 0;
}
