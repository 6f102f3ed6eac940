/*
 * Fork handlers that allocate, registered before the first allocation of the
 * program (.preinit_array), in a constructor and in main: they run on either
 * side of those of a preloaded heap. survive_atfork [FORKS]
 */
#include "survive.h"
#include <sys/wait.h>

enum { PLACES = 3, THREADS = 2 };

struct place {
	unsigned char *kept[4];
	int prepared, parent, child;
};

static struct place places[PLACES];
static const size_t sizes[] = { 40, 3000, 100000, 70 << 20 };

static void prepare(struct place *place)
{
	for (int at = 0; at < 4; at++) {
		place->kept[at] = malloc(sizes[at]);
		if (!place->kept[at])
			fail("a prepare handler got no memory");
		mark(place->kept[at], sizes[at], at + 1);
	}
	free(made(malloc(500)));
	place->prepared++;
}

static void after(struct place *place)
{
	for (int at = 0; at < 4; at++) {
		unsigned char *block = place->kept[at];

		check(block, sizes[at], at + 1);
		if (at == 1 && !(block = realloc(block, sizes[at] * 3)))
			fail("a handler got no memory");
		free(block);
	}
	live_a_little(3);
}

#define HANDLERS(n)                                                             \
	static void prepare##n(void) { prepare(&places[n]); }                   \
	static void parent##n(void) { after(&places[n]); places[n].parent++; }  \
	static void child##n(void) { after(&places[n]); places[n].child++; }    \
	static void register##n(void)                                           \
	{                                                                       \
		if (pthread_atfork(prepare##n, parent##n, child##n))            \
			fail("pthread_atfork");                                 \
	}

HANDLERS(0)
HANDLERS(1)
HANDLERS(2)

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = register0;

__attribute__((constructor)) static void second(void)
{
	register1();
}

int main(int argc, char **argv)
{
	int forks = number(argc, argv, 1, 100), well = 0, status;
	pthread_t threads[THREADS];

	register2();
	start_load(threads, THREADS);
	for (int at = 0; at < forks; at++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			live_a_little(at);
			_exit(places[0].child + places[1].child + places[2].child);
		}
		if (waitpid(pid, &status, 0) != pid)
			die("waitpid");
		well += WIFEXITED(status) && WEXITSTATUS(status) == 3;
	}
	stop_load(threads, THREADS);
	for (int at = 0; at < PLACES; at++)
		printf("place %d: prepared %d, in the parent %d\n", at, places[at].prepared,
		       places[at].parent);
	printf("children well %d\n", well);
	return 0;
}
