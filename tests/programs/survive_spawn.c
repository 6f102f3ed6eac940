/*
 * posix_spawn and popen out of a process whose threads allocate, with file
 * actions, attributes and an environment of its own. survive_spawn [CHILDREN]
 */
#include "survive.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

enum { THREADS = 2 };

static int spawned(const char *self, int number)
{
	char text[20], *argv[] = { "survive_spawn", "child", text, NULL };
	char *environment[] = { "OWN=1", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int ends[2], status;
	pid_t pid;

	snprintf(text, sizeof text, "%d", number);
	if (pipe(ends))
		die("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	posix_spawn_file_actions_addopen(&actions, 9, "/dev/null", O_RDONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	/* Every second child starts without our variables: nobody watches it. */
	if (posix_spawn(&pid, self, &actions, &attributes, argv,
			number % 2 ? environment : environ))
		die("posix_spawn");
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	close(ends[1]);
	int got = read(ends[0], text, sizeof text - 1);
	close(ends[0]);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || got <= 0)
		return 0;
	text[got] = 0;
	return WEXITSTATUS(status) == 6 && atoi(text) == number;
}

int main(int argc, char **argv)
{
	int children = number(argc, argv, 1, 100), well = 0;
	pthread_t threads[THREADS];
	char self[4096], line[100] = "";

	if (argc > 2) {
		live_a_little(number(argc, argv, 2, 1));
		dprintf(1, "%s\n", argv[2]);
		return 6;
	}
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	if (len < 0)
		die("readlink");
	self[len] = 0;
	start_load(threads, THREADS);
	for (int at = 0; at < children; at++)
		well += spawned(self, at);
	FILE *pipe = popen("echo through a shell", "r");
	if (!pipe || !fgets(line, sizeof line, pipe) || pclose(pipe))
		die("popen");
	int status = system("exit 3");
	stop_load(threads, THREADS);
	printf("children %d, well %d; popen: %ssystem: %d\n", children, well, line,
	       WEXITSTATUS(status));
	return 0;
}
