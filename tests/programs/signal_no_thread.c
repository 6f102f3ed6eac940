/*
 * A finding is made in a timer's signal handler, which has interrupted who knows what:
 * no thread may be started there. One is when the program itself makes a timer.
 */
#include "gates.h"

#include <sys/time.h>

static int threads_in, threads_out;

static int threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int count = 0;

	if (!tasks)
		die("/proc/self/task");
	for (struct dirent *task; (task = readdir(tasks));)
		count += task->d_name[0] != '.';
	closedir(tasks);
	return count;
}

static void handler(int number)
{
	(void)number;
	threads_in = threads();
}

int main(void)
{
	struct itimerval soon = { .it_value.tv_usec = 100 }, never = { 0 };
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	sigset_t alarm_only, pending;
	timer_t timer;

	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm_only, NULL);
	signal(SIGALRM, handler);
	if (setitimer(ITIMER_REAL, &soon, NULL))
		die("setitimer");
	do
		sigpending(&pending);
	while (!sigismember(&pending, SIGALRM));
	if (setitimer(ITIMER_REAL, &never, NULL))
		die("setitimer");
	/* The handler starts after the clock was stopped: that is told. */
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	threads_out = threads();
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		die("timer_create");
	printf("%d in the handler, %d behind it, %d after timer_create\n", threads_in, threads_out,
	       threads());
	return 0;
}
