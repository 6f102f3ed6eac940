/*
 * Timers and processes: what a child, another program in our place, a daemon, and
 * another user have of them. processes KIND fork|vfork|exec|daemon|setuid
 */
#include "life.h"

enum { WELL = 3, LIVES = 3 };
#define NOBODY 65534

static char **words;

static void wait_well(pid_t pid)
{
	int status;

	if (pid < 0)
		die("fork");
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			die("waitpid");
	printf("child %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* A child has none of its parent's timers, but for a descriptor. */
static int in_child(struct timer *parents)
{
	struct itimerval left;

	if (kind == TIMERFD) {
		if (set(parents, 0, ms_of(2), ms_of(0)))
			return 1;
		await(parents);
	} else if (kind == ITIMER) {
		getitimer(ITIMER_REAL, &left);
		if (left.it_value.tv_sec || left.it_value.tv_usec)
			return 2;
	} else if (set(parents, 0, ms_of(2), ms_of(0)) != EINVAL) {
		return 4;
	}
	live(LIVES);
	return WELL;
}

static void with_fork(struct timer *timer)
{
	for (int at = 0; at < 3; at++) {
		fflush(stdout);
		pid_t pid = fork();

		if (pid == 0)
			_exit(in_child(timer));
		wait_well(pid);
	}
}

/* The parent stands still meanwhile; its timers do not. */
static void with_vfork(struct timer *timer)
{
	for (int at = 0; at < 3; at++) {
		arm_in(timer, 1);
		pid_t pid = vfork();

		if (pid == 0) {
			execlp("sleep", "sleep", "0.01", (char *)NULL);
			_exit(1);
		}
		wait_well(pid);
		await(timer);
	}
}

/*
 * A program in our place: setitimer's clock goes on, a descriptor stays, all other
 * timers are gone. Signals wait for it, blocked.
 */
static void with_exec(struct timer *timer)
{
	char memory[20], fd[20];
	int shared = memfd_create("counts", 0);
	struct counts before = *counts;
	sigset_t all;

	if (shared < 0 || ftruncate(shared, sizeof before) ||
	    pwrite(shared, &before, sizeof before, 0) != sizeof before)
		die("memfd");
	share_counts(shared);
	arm_in(timer, 5);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	snprintf(memory, sizeof memory, "%d", shared);
	snprintf(fd, sizeof fd, "%d", timer->fd);
	execl("/proc/self/exe", words[0], words[1], "execed", memory, fd, (char *)NULL);
	die("exec");
}

static void execed(void)
{
	struct timer inherited = { .fd = atoi(words[4]) };
	sigset_t all;

	share_counts(atoi(words[3]));
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	if (kind == ITIMER || kind == TIMERFD) {
		await(&inherited);
		unmake(&inherited);
	}
	live(LIVES);
	printf("another program\n");
}

static void with_daemon(struct timer *timer)
{
	char told = 0;
	int ends[2];
	pid_t pid;

	if (pipe(ends))
		die("pipe");
	pid = fork();
	if (pid == 0) {
		if (daemon(1, 1))
			die("daemon");
		told = in_child(timer);
		if (write(ends[1], &told, 1) != 1)
			die("write");
		exit(0);
	}
	close(ends[1]);
	wait_well(pid);
	if (read(ends[0], &told, 1) != 1)
		die("read");
	/* The end of the pipe is the daemon's. */
	if (read(ends[0], &(char){ 0 }, 1) != 0)
		die("read");
	printf("daemon %d\n", told);
}

static void with_setuid(struct timer *timer)
{
	if (getuid())
		exit(SKIPPED);
	live(LIVES);
	if (setgid(NOBODY) || setuid(NOBODY))
		exit(SKIPPED);
	arm_in(timer, 1);
	await(timer);
	live(LIVES);
	printf("user %d\n", getuid());
}

static const struct {
	const char *name;
	void (*with)(struct timer *timer);
} ways[] = {
	{ "fork", with_fork }, { "vfork", with_vfork }, { "exec", with_exec },
	{ "daemon", with_daemon }, { "setuid", with_setuid },
};

int main(int argc, char **argv)
{
	words = argv;
	life_begin(argc, argv);
	if (argc < 3)
		return 2;
	if (!strcmp(argv[2], "execed")) {
		execed();
		return life_end();
	}
	struct timer timer = make(NULL);

	arm_in(&timer, HOUR_MS);
	for (size_t at = 0; at < sizeof ways / sizeof *ways; at++)
		if (!strcmp(ways[at].name, argv[2]))
			ways[at].with(&timer);
	arm_in(&timer, 1);
	await(&timer);
	unmake(&timer);
	return life_end();
}
