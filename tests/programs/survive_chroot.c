/*
 * Gives up its root folder and its user, then allocates, forks and execs what is
 * not there. survive_chroot FOLDER
 */
#include "survive.h"
#include <sys/wait.h>

int main(int argc, char **argv)
{
	struct load load = { .seed = 2 };
	int status;

	load_steps(&load, 300);
	if (argc < 2 || chroot(argv[1]) || chdir("/"))
		return SKIPPED;
	if (setgid(65534) || setuid(65534))
		die("setuid");
	load_steps(&load, 300);
	pid_t pid = fork();
	if (pid == 0) {
		load_steps(&load, 300);
		load_end(&load);
		execl("/bin/sh", "sh", (char *)NULL);
		_exit(errno == ENOENT ? 6 : 7);
	}
	waitpid(pid, &status, 0);
	load_end(&load);
	printf("root is empty: %d, child %d\n", access("/proc", F_OK) != 0, WEXITSTATUS(status));
	return 0;
}
