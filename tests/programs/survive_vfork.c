/*
 * vfork while threads allocate: the child allocates in its parent's memory and
 * ends, or execs. survive_vfork [CHILDREN]
 */
#include "survive.h"
#include <sys/wait.h>

enum { THREADS = 2, EXECS = 20 };

/* What the child writes is the parent's too. */
static void *volatile from_parent, *volatile from_child;

/* In a function of its own: a child returns into the same variables. */
__attribute__((noinline)) static pid_t child_of(size_t size, int execs)
{
	pid_t pid = vfork();

	if (pid == 0) {
		free(from_parent);
		from_child = memset(malloc(size), 1, size);
		if (!execs)
			_exit(4);
		execl("/proc/self/exe", "survive_vfork", "0", "once", (char *)NULL);
		_exit(1);
	}
	return pid;
}

int main(int argc, char **argv)
{
	int children = number(argc, argv, 1, 1000), well = 0, status;
	pthread_t threads[THREADS];

	if (argc > 2)
		return 9;
	start_load(threads, THREADS);
	for (int at = 0; at < children + EXECS; at++) {
		from_parent = malloc(100 + at);
		pid_t pid = child_of(200 + at, at >= children);

		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			die("vfork");
		well += WIFEXITED(status) && WEXITSTATUS(status) == (at < children ? 4 : 9);
		free(from_child);
	}
	stop_load(threads, THREADS);
	printf("children %d, well %d\n", children + EXECS, well);
	return 0;
}
