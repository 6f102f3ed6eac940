/*
 * A handler that allocates interrupts the same done by main and three threads.
 * What POSIX forbids, programs do all the same; glibc may deadlock on it.
 *   timer   SIGALRM by setitimer every 70 us, in whatever thread runs
 *   profile SIGPROF by CPU time
 *   storm   SIGUSR1 by pthread_kill, thread to thread
 *   fork    ... and forks now and then; parent and child go on; one thread only,
 *           since libc's own fork in a handler may wait for what it interrupted
 *   jump    SIGALRM leaves malloc by siglongjmp; one thread only
 * survive_signals MODE [MILLISECONDS]
 */
#include "survive.h"
#include <setjmp.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { THREADS = 3, OWN = 8, EVERY_US = 70, ENOUGH = 500, PATIENCE_MS = 30000 };

/* A thread's handler has blocks of its own: nobody else touches them. */
struct own {
	unsigned seed;
	unsigned char *block[OWN];
	size_t size[OWN];
};

static __thread struct own own;
static __thread volatile sig_atomic_t is_in_handler;
static atomic_ulong handled;
static sigjmp_buf back;
static int jumps;
static volatile sig_atomic_t in_child;
static pthread_t threads[THREADS];
static double until;

static void in_handler(void)
{
	unsigned at;
	size_t size;

	own.seed = own.seed * 1103515245u + 12345u;
	at = own.seed >> 16 & (OWN - 1);
	size = 1 + (own.seed >> 8) % (own.seed >> 28 == 0 ? 200000 : own.seed >> 30 ? 300 : 9000);
	if (own.block[at]) {
		check(own.block[at], own.size[at], at + 1);
		if (own.seed & 1 << 20) {
			free(own.block[at]);
			own.block[at] = NULL;
			return;
		}
		own.block[at] = realloc(own.block[at], size);
	} else {
		own.block[at] = own.seed & 1 << 21 ? calloc(1, size) : malloc(size);
	}
	if (!own.block[at])
		fail("a handler got no memory");
	mark(own.block[at], size, at + 1);
	own.size[at] = size;
}

static void handler(int signal)
{
	int saved = errno;

	(void)signal;
	handled++;
	if (!is_in_handler) {
		is_in_handler = 1;
		for (int at = 0; at < 3; at++)
			in_handler();
		is_in_handler = 0;
	}
	errno = saved;
}

/* The child goes on in the middle of whatever was interrupted, here and there. */
static void forking(int signal)
{
	struct load load = { .seed = 5 };

	handler(signal);
	if (handled % 16)
		return;
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		load_steps(&load, 50);
		load_end(&load);
		if (handled % 32)
			_exit(0);
		in_child = load_stop = 1;
		return;
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail("a child of a handler");
}

static void jumping(int signal)
{
	(void)signal;
	handled++;
	free(made(malloc(40)));
	siglongjmp(back, 1);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* On a machine that is busy with other things signals take their time. */
static int goes_on(void)
{
	double now = now_ms();

	return now < until || (handled < ENOUGH && now < until + PATIENCE_MS);
}

static void set_timer(int which, long us)
{
	struct itimerval every = { { 0, us }, { 0, us } };

	if (setitimer(which, &every, NULL))
		die("setitimer");
}

static void *killer(void *main_thread)
{
	struct load load = { .seed = 99 };

	while (!load_stop) {
		pthread_kill(*(pthread_t *)main_thread, SIGUSR1);
		for (int at = 0; at < THREADS; at++)
			pthread_kill(threads[at], SIGUSR1);
		load_steps(&load, 3);
	}
	load_end(&load);
	return NULL;
}

/*
 * What is allocated between the jumps may be lost: blocks are only used by the
 * code that a jump does not leave, behind a mask.
 */
static void jump_around(void)
{
	volatile int seed = 0;
	sigset_t all, old;

	sigfillset(&all);
	sigsetjmp(back, 1);
	jumps++;
	while (goes_on()) {
		struct load load = { .seed = seed++ };

		for (int at = 0; at < 100; at++)
			free(made(malloc((seed * 37 + at * 101) % 5000)));
		sigprocmask(SIG_BLOCK, &all, &old);
		load_steps(&load, 20);
		load_end(&load);
		sigprocmask(SIG_SETMASK, &old, NULL);
	}
	/* None may jump to where this function was. */
	sigprocmask(SIG_BLOCK, &all, NULL);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	int is_jump = !strcmp(mode, "jump"), is_storm = !strcmp(mode, "storm");
	int is_fork = !strcmp(mode, "fork");
	until = now_ms() + number(argc, argv, 2, 3000);
	struct sigaction action = { .sa_handler = is_jump ? jumping : is_fork ? forking : handler,
				    .sa_flags = SA_RESTART };
	struct load load = { .seed = 1 };
	pthread_t main_thread = pthread_self(), extra;

	sigfillset(&action.sa_mask);
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGPROF, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	if (!is_jump && !is_fork)
		start_load(threads, THREADS);
	if (is_storm && pthread_create(&extra, NULL, killer, &main_thread))
		die("pthread_create");
	if (!strcmp(mode, "profile"))
		set_timer(ITIMER_PROF, EVERY_US);
	else if (!is_storm)
		set_timer(ITIMER_REAL, EVERY_US);
	if (is_jump) {
		jump_around();
	} else {
		while (goes_on()) {
			load_steps(&load, 10);
			if (in_child)
				_exit(0);
		}
	}
	set_timer(ITIMER_REAL, 0);
	set_timer(ITIMER_PROF, 0);
	if (is_storm) {
		load_stop = 1;
		pthread_join(extra, NULL);
	}
	signal(SIGALRM, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGPROF, SIG_IGN);
	load_end(&load);
	if (!is_jump && !is_fork)
		stop_load(threads, THREADS);
	printf("signals handled: %d, jumps: %d\n", handled >= ENOUGH, jumps >= ENOUGH / 2);
	return 0;
}
