/*
 * One landing delete in each of several processes: children (fork|exec|grandchild)
 * fork: in the parent, then in its child. exec: before and after an exec.
 * grandchild: in a child of a child; the others use no timer.
 */
#include "gates.h"
#include <sys/wait.h>

static sem_t entered, go, done;

static void handler(union sigval value)
{
	(void)value;
	gate_open(&entered);
	gate_pass(&go);
	gate_open(&done);
}

static void landing_delete(void)
{
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
}

static int wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		die("child");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	pid_t child;

	if (!strcmp(mode, "exec")) {
		landing_delete();
		execl("/proc/self/exe", "children", "once", (char *)NULL);
		die("execl");
	}
	if (!strcmp(mode, "once")) {
		landing_delete();
		return 0;
	}
	if (!strcmp(mode, "fork"))
		landing_delete();
	if ((child = fork()) == 0) {
		if (!strcmp(mode, "fork")) {
			landing_delete();
			return 0;
		}
		if ((child = fork()) == 0) {
			landing_delete();
			return 0;
		}
		return wait_for(child);
	}
	return wait_for(child);
}
