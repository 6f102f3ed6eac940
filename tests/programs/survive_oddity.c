/*
 * Does one of the odd things that programs do to their own process, and works
 * on:
 * survive_oddity close|mlock|thp|dumpable|stack|outside|nofile|nproc|environment
 */
#include "survive.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void limit(int what, unsigned long soft)
{
	struct rlimit now;

	if (getrlimit(what, &now))
		die("getrlimit");
	now.rlim_cur = soft;
	if (setrlimit(what, &now))
		die("setrlimit");
}

/* Another process sets our limit, as prlimit(1) does. */
static void limit_from_outside(void)
{
	struct rlimit limit = { 600UL << 20, 600UL << 20 };
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(prlimit(getppid(), RLIMIT_AS, &limit, NULL) != 0);
	waitpid(pid, &status, 0);
	if (WEXITSTATUS(status))
		die("prlimit");
	if (malloc(700 << 20))
		fail("the limit is none");
}

static void do_it(const char *what)
{
	if (!strcmp(what, "close")) {
		closefrom(3);
		for (int fd = 3; fd < 10; fd++)
			if (dup(0) != fd)
				fail("a descriptor was taken");
	} else if (!strcmp(what, "mlock")) {
		if (mlockall(MCL_CURRENT | MCL_FUTURE))
			exit(SKIPPED);
	} else if (!strcmp(what, "thp")) {
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	} else if (!strcmp(what, "dumpable")) {
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	} else if (!strcmp(what, "stack")) {
		limit(RLIMIT_STACK, 100 << 10);
	} else if (!strcmp(what, "outside")) {
		limit_from_outside();
	} else if (!strcmp(what, "nofile")) {
		limit(RLIMIT_NOFILE, 0);
	} else if (!strcmp(what, "nproc")) {
		limit(RLIMIT_NPROC, 0);
	} else if (!strcmp(what, "environment")) {
		clearenv();
		setenv("ONLY", "one", 1);
	} else {
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct load load = { .seed = 4 };
	pthread_t threads[2];
	int status;

	if (argc < 2)
		return 2;
	load_steps(&load, 300);
	int with_threads = strcmp(argv[1], "nproc");
	do_it(argv[1]);
	load_steps(&load, 2000);
	if (with_threads)
		start_load(threads, 2);
	load_steps(&load, 2000);
	if (with_threads)
		stop_load(threads, 2);
	load_end(&load);
	pid_t pid = fork();
	if (pid == 0) {
		live_a_little(1);
		if (argc == 2)
			execl("/proc/self/exe", argv[0], argv[1], "again", (char *)NULL);
		exit(8);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	printf("%s: child %d\n", argv[1], pid > 0 ? WEXITSTATUS(status) : -1);
	return argc == 2 ? 0 : 9;
}
