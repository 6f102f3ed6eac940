/*
 * A vfork child has its parent's memory, and timers of its own. The parent has one timer
 * and alarm's clock, both armed to the end; its children set theirs, run their handlers,
 * stop them or leave them armed, end or exec, and vfork themselves.
 */
#include "gates.h"

#include <sys/time.h>
#include <sys/wait.h>

enum { AFTER_S = 1000, ENDS_WELL = 5 };

static volatile sig_atomic_t in_child, handled;

static void on_signal(int signo)
{
	(void)signo;
	handled = handled + (in_child ? 1 : 1000);
}

static timer_t signalling(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		_exit(1);
	return timer;
}

static void use_timers(void)
{
	struct itimerval hour = { .it_value = { .tv_sec = 3600 } };
	int before = handled;
	timer_t timer = signalling();

	arm(timer, 1);
	while (handled == before)
		;
	arm(timer, HOUR_MS);
	timer_delete(timer);
	timer_delete(timer);
	arm(signalling(), HOUR_MS); /* left as it is */
	alarm(AFTER_S / 2);
	alarm(0);
	alarm(AFTER_S / 2);
	setitimer(ITIMER_VIRTUAL, &hour, NULL);
	before = handled;
	ualarm(1000, 0);
	while (handled == before)
		;
}

/* In a function of its own: a child returns into the same variables. */
__attribute__((noinline)) static pid_t child_of(int execs, int depth)
{
	pid_t pid = vfork();

	if (pid == 0) {
		in_child = 1;
		use_timers();
		if (depth) {
			int status;
			pid_t grandchild = child_of(0, depth - 1);

			if (waitpid(grandchild, &status, 0) != grandchild || status != ENDS_WELL << 8)
				_exit(2);
			in_child = 1;
			use_timers();
		}
		if (execs)
			execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
		_exit(ENDS_WELL);
	}
	return pid;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	timer_t timer;
	int status;

	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	timer = signalling();
	arm(timer, HOUR_MS);
	alarm(AFTER_S);
	for (int at = 0; at < 3; at++) {
		pid_t pid = child_of(at == 1, at == 2);

		if (waitpid(pid, &status, 0) != pid || status != ENDS_WELL << 8)
			die("a child");
		in_child = 0;
	}
	printf("handled %d, alarm %s\n", handled, alarm(AFTER_S) > AFTER_S / 2 ? "kept" : "lost");
	if (timer_delete(timer))
		die("timer_delete");
	return 0;
}
