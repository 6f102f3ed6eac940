/*
 * Expiries that no handler gets: sigwait, sigwaitinfo and sigtimedwait take them. Also
 * signals that no timer sent, a timeout, an error, a null siginfo, an interruption and
 * a cancellation. Prints the same plain and watched.
 */
#include "signal_timer.h"

static sigset_t set;
static sem_t there;

static void noted(int number)
{
	(void)number;
}

static void *waits_for_ever(void *unused)
{
	siginfo_t info;

	(void)unused;
	gate_open(&there);
	sigwaitinfo(&set, &info);
	return NULL;
}

static void *is_interrupted(void *tid)
{
	struct sigaction action = { .sa_handler = noted };

	sigaction(SIGUSR1, &action, NULL);
	*(_Atomic pid_t *)tid = thread_id();
	gate_open(&there);
	int result = sigwaitinfo(&set, NULL);

	printf("interrupted %d %d\n", result, errno == EINTR);
	return NULL;
}

int main(void)
{
	struct timespec soon = { .tv_nsec = 1000 }, minute = { .tv_sec = 60 };
	_Atomic pid_t tid;
	siginfo_t info;
	pthread_t thread;
	void *result;
	int number = 0;

	gate_init(&there);
	change_mask(SIG_BLOCK, TIMER_SIGNAL);
	change_mask(SIG_BLOCK, SIGALRM);
	sigemptyset(&set);
	sigaddset(&set, TIMER_SIGNAL);
	sigaddset(&set, SIGALRM);
	runner_thread = thread_id();
	timer_t timer = new_signal_timer(TIMER_SIGNAL, (void *)0x77);

	arm(timer, 1);
	printf("sigwait %d", sigwait(&set, &number));
	printf(" %d\n", number == TIMER_SIGNAL);
	arm(timer, 1);
	printf("sigwaitinfo %d", sigwaitinfo(&set, &info) == TIMER_SIGNAL);
	printf(" %p %d\n", info.si_value.sival_ptr, info.si_code == SI_TIMER);
	arm(timer, 1);
	printf("sigtimedwait %d\n", sigtimedwait(&set, NULL, &minute) == TIMER_SIGNAL);
	ualarm(1000, 0);
	printf("alarm %d %d\n", sigwaitinfo(&set, &info) == SIGALRM, info.si_code == SI_KERNEL);
	kill(getpid(), SIGALRM);
	printf("sent %d %d\n", sigwaitinfo(&set, &info) == SIGALRM, info.si_code == SI_USER);
	number = sigtimedwait(&set, &info, &soon);
	printf("timeout %d %d\n", number, errno == EAGAIN);
	pthread_create(&thread, NULL, is_interrupted, (void *)&tid);
	gate_pass(&there);
	wait_thread_asleep(tid);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, waits_for_ever, NULL);
	gate_pass(&there);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	printf("cancelled %d\n", result == PTHREAD_CANCELED);
	timer_delete(timer);
	return 0;
}
