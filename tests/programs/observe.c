/*
 * What the heap's totals and the listing of live blocks are to show.
 *   listing: blocks of three functions stay, those of a fourth do not
 *   totals: all kinds of blocks come and go, on threads and in a child
 */
#include "gates.h"
#include "memory.h"
#include <sys/wait.h>

enum { SMALL = 700, LARGE = 20 };

static void *volatile kept[SMALL + LARGE + 1];

__attribute__((noinline)) static void keep_small(void)
{
	for (int i = 0; i < SMALL; i++)
		kept[i] = malloc(100);
}

__attribute__((noinline)) static void keep_large(void)
{
	for (int i = 0; i < LARGE; i++)
		kept[SMALL + i] = calloc(50, 1000);
}

__attribute__((noinline)) static void keep_huge(void)
{
	kept[SMALL + LARGE] = malloc(100u << 20);
}

__attribute__((noinline)) static void give_back(void)
{
	for (int i = 0; i < 5000; i++)
		free(hide(malloc(100 + i)));
}

static void *use_all_kinds(void *arg)
{
	static const size_t sizes[] = { 1, 40, 600, 5000, 30000, 40000, 1 << 20, 70 << 20 };
	int rounds = *(int *)arg;

	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			char *block = malloc(sizes[i]);

			block = realloc(block, sizes[i] + 8 * (round % 4));
			if (round % 3)
				free(hide(block));
		}
	return NULL;
}

int main(int argc, char **argv)
{
	int rounds = 30;

	if (argc > 1 && !strcmp(argv[1], "listing")) {
		keep_small();
		keep_large();
		keep_huge();
		give_back();
		return STATUS;
	}
	pthread_t threads[3];
	pid_t child;

	for (int i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, use_all_kinds, &rounds))
			die("pthread_create");
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	if ((child = fork()) == 0) {
		use_all_kinds(&rounds);
		exit(0);
	}
	use_all_kinds(&rounds);
	if (child < 0 || waitpid(child, NULL, 0) != child)
		die("child");
	return STATUS;
}
