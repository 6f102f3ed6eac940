/*
 * The process's one clock has two users: this program, and a library (its argument).
 * BAD 1: the library takes the clock and keeps it, and this program waits for its
 * expiry in vain. BAD 2: a plain `alarm` whose default action was to end the process.
 * LOOKALIKE 1: the library gives it back. 2: it gives it back late. 3: the program
 * stops its clock before it is due. 4: the program's end comes before that. 5: one
 * object with two handlers, by turns. 6: the clock was due before the library took it.
 */
#include "gates.h"
#include <dlfcn.h>
#include <sys/time.h>

static sem_t expired;

static __attribute__((unused)) void first(int number)
{
	(void)number;
	gate_open(&expired);
}

static __attribute__((unused)) void second(int number)
{
	(void)number;
	gate_open(&expired);
}

static __attribute__((unused)) void start(long ms)
{
	struct itimerval when = { .it_value = { ms / 1000, ms % 1000 * 1000 } };

	setitimer(ITIMER_REAL, &when, NULL);
}

static __attribute__((unused)) void nap(long ms)
{
	struct timespec rest = { .tv_nsec = ms * NS_PER_MS };

	while (nanosleep(&rest, &rest))
		;
}

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	void (*timeout)(long) = library ? (void (*)(long))dlsym(library, "library_timeout") : NULL;

	if (!timeout)
		die("no library");
	gate_init(&expired);
#if !(defined BAD && BAD == 2)
	signal(SIGALRM, first);
#endif
#if defined BAD && BAD == 2
	alarm(1);
	timeout(20);
	nap(600);
	nap(600);
#elif defined BAD
	start(100);
	timeout(20);
	nap(200);
#elif LOOKALIKE == 1
	start(1500);
	timeout(20);
	gate_pass(&expired);
#elif LOOKALIKE == 2
	start(100);
	timeout(200);
	gate_pass(&expired);
#elif LOOKALIKE == 3
	start(HOUR_MS);
	timeout(20);
	start(0);
#elif LOOKALIKE == 4
	start(HOUR_MS);
	timeout(20);
#elif LOOKALIKE == 5
	for (int i = 0; i < 4; i++) {
		start(HOUR_MS);
		signal(SIGALRM, i % 2 ? first : second);
		start(20);
		gate_pass(&expired);
	}
#else
	start(1);
	gate_pass(&expired);
	timeout(20);
#endif
	return 0;
}
