/*
 * daemon(3) in a child; the daemon allocates on and tells through a pipe, whose
 * end its parent's parent waits for.
 */
#include "survive.h"
#include <sys/wait.h>

int main(void)
{
	struct load load = { .seed = 5 };
	char text[100] = "";
	int ends[2], status;
	pid_t pid;

	load_steps(&load, 500);
	if (pipe(ends) || (pid = fork()) < 0)
		die("fork");
	if (pid == 0) {
		if (daemon(1, 0))
			die("daemon");
		load_steps(&load, 500);
		load_end(&load);
		dprintf(ends[1], "daemon: session leader's child %d, descriptors %d\n",
			getppid() == 1 || getppid() != getpgid(0), isatty(0));
		exit(0);
	}
	close(ends[1]);
	waitpid(pid, &status, 0);
	for (size_t at = 0, got; at < sizeof text - 1; at += got)
		if ((ssize_t)(got = read(ends[0], text + at, sizeof text - 1 - at)) <= 0)
			break;
	load_end(&load);
	printf("first child %d\n%s", WEXITSTATUS(status), text);
	return 0;
}
