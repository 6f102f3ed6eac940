/*
 * Changes its uid, then forks: the child makes one delete that lands, in a
 * process that can no longer create a file in root's folders.
 */
#include "gates.h"
#include <sys/wait.h>

enum { NOBODY = 65534 };

static sem_t entered, go, done;

static void handler(union sigval value)
{
	(void)value;
	gate_open(&entered);
	gate_pass(&go);
	gate_open(&done);
}

int main(void)
{
	int status;
	pid_t child;

	if (setgid(NOBODY) || setuid(NOBODY))
		return SKIPPED;
	if ((child = fork()) == 0) {
		timer_t timer;

		gate_init(&entered);
		gate_init(&go);
		gate_init(&done);
		timer = new_timer(handler, NULL);
		arm(timer, 0);
		gate_pass(&entered);
		timer_delete(timer);
		gate_open(&go);
		gate_pass(&done);
		printf("child done\n");
		return 0;
	}
	if (waitpid(child, &status, 0) != child)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
