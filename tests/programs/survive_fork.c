/*
 * Forks while three threads allocate; each child allocates, and some fork again
 * or start a thread. survive_fork [CHILDREN]
 */
#include "survive.h"
#include <sys/wait.h>

enum { THREADS = 3 };

static void *in_thread(void *seed)
{
	live_a_little((unsigned)(size_t)seed);
	return NULL;
}

static int child(int number, struct load *inherited)
{
	pthread_t thread;
	int status = 0;

	load_steps(inherited, 100);
	load_end(inherited);
	live_a_little(number);
	if (number % 16 == 1) {
		if (pthread_create(&thread, NULL, in_thread, (void *)(size_t)number))
			return 1;
		pthread_join(thread, NULL);
	}
	if (number % 16 == 2) {
		pid_t pid = fork();

		if (pid == 0) {
			live_a_little(number + 1);
			_exit(5);
		}
		if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 5)
			return 2;
	}
	return 3;
}

int main(int argc, char **argv)
{
	int children = number(argc, argv, 1, 1000), well = 0, status;
	struct load load = { .seed = 7 };
	pthread_t threads[THREADS];

	start_load(threads, THREADS);
	for (int at = 0; at < children; at++) {
		load_steps(&load, 20);
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			if (at % 8)
				_exit(child(at, &load));
			exit(child(at, &load));
		}
		if (waitpid(pid, &status, 0) != pid)
			die("waitpid");
		well += WIFEXITED(status) && WEXITSTATUS(status) == 3;
	}
	load_end(&load);
	stop_load(threads, THREADS);
	printf("children %d, well %d, threads worked %d\n", children, well,
	       load_rounds > (unsigned long)children);
	return 0;
}
