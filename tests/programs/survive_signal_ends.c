/*
 * Signals in the middle of malloc, whose handlers end the process, fork, or find
 * the thread at what the heap does besides malloc. Each round is a child.
 * survive_signal_ends exit|_exit|fork|totals|threads|at_exit [ROUNDS]
 */
#include "survive.h"
#include <sys/time.h>
#include <sys/wait.h>

enum { BLOCKS = 2000, PATIENCE = 60, IN_CHILD = 7 };

static const char *mode;
static volatile sig_atomic_t is_child, calls;

static int is(const char *name)
{
	return strcmp(mode, name) == 0;
}

static void on_alarm(int signal)
{
	(void)signal;
	if (is("_exit"))
		_exit(0);
	if (is("exit"))
		exit(0);
	if (is("fork")) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			is_child = 1;
			return;
		}
		if (waitpid(pid, &status, 0) != pid || status != IN_CHILD << 8)
			_exit(1);
		_exit(0);
	}
	for (int at = 0; at < 40; at++)
		free(made(malloc(at * 200)));
	calls++;
}

static void start_timer(int first, int next)
{
	struct itimerval timer = { { 0, next }, { 0, first } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* More than a thread keeps to itself: to the depots and back. */
static void work(void)
{
	static void *block[BLOCKS];

	for (int at = 0; at < BLOCKS; at++)
		block[at] = made(malloc(24 + at % 8 * 16));
	for (int at = 0; at < BLOCKS; at++)
		free(block[at]);
}

static void *in_thread(void *seed)
{
	live_a_little((unsigned)(size_t)seed);
	return NULL;
}

static void with_threads(int count)
{
	pthread_t thread[4];

	for (int at = 0; at < count; at++)
		if (pthread_create(&thread[at], NULL, in_thread, (void *)(size_t)at))
			die("pthread_create");
	for (int at = 0; at < count; at++)
		pthread_join(thread[at], NULL);
}

static void round_in_child(int number)
{
	int repeats = is("exit") || is("_exit") || is("fork") ? 0 : 100;

	signal(SIGALRM, on_alarm);
	work();
	start_timer(200 + number * 37 % 700, repeats);
	if (is("at_exit"))
		exit(0);
	for (int at = 0; repeats == 0 || at < 20; at++) {
		if (is("totals")) {
			free(made(malloc(200000)));
			malloc_trim(0);
			mallinfo2();
		} else if (is("threads")) {
			with_threads(1);
		} else {
			work();
		}
		if (is_child) {
			/* What was interrupted has gone on; the cache is ours alone. */
			with_threads(4);
			work();
			_exit(IN_CHILD);
		}
	}
	start_timer(0, 0);
	_exit(0);
}

int main(int argc, char **argv)
{
	int rounds = number(argc, argv, 2, 100), well = 0, status;

	mode = argc > 1 ? argv[1] : "exit";
	for (int at = 0; at < rounds; at++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0)
			round_in_child(at);
		for (int waits = 0; waitpid(pid, &status, WNOHANG) == 0; waits++) {
			if (waits == PATIENCE * 1000) {
				fprintf(stderr, "survive: a child hangs\n");
				kill(pid, SIGKILL);
			}
			usleep(1000);
		}
		well += status == 0;
	}
	printf("%s: %d of %d\n", mode, well, rounds);
	return well == rounds ? 0 : 1;
}
