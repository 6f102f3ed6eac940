/*
 * Threads on stacks of 16 KiB that use the whole heap family. With "misuse"
 * they free a block twice, too. survive_stacks [misuse]
 */
#include "survive.h"
#include <limits.h>

enum { STACK = 16384, THREADS = 16 };

static char *volatile hidden;
static int with_misuse;

static void *small_stack(void *number)
{
	unsigned char *large;
	char *block;

	/* No `struct load` here: it would take much of the stack. */
	for (size_t size = 1; size < 100000; size = size * 3 / 2 + 1) {
		unsigned char *p = malloc(size), *q = calloc(3, size), *r = memalign(256, size);

		if (!p || !q || !r)
			fail("no memory on a small stack");
		mark(p, size, 9);
		if (!(p = realloc(p, size * 2)))
			fail("no memory on a small stack");
		check(p, size < 2 * EDGE ? size : EDGE, 9);
		free(q);
		free(p);
		free(r);
	}
	if (!(large = malloc(80 << 20)) || !(large = realloc(large, 120 << 20)))
		fail("no huge block on a small stack");
	free(large);
	if (with_misuse) {
		hidden = block = malloc(48);
		free(hidden);
		free(hidden);
	}
	return number;
}

int main(int argc, char **argv)
{
	pthread_attr_t attributes;
	pthread_t thread;
	size_t stack;
	int well = 0;

	with_misuse = argc > 1 && !strcmp(argv[1], "misuse");
	pthread_attr_init(&attributes);
	if (pthread_attr_setstacksize(&attributes, STACK))
		return SKIPPED;
	pthread_attr_getstacksize(&attributes, &stack);
	for (size_t at = 1; at <= THREADS; at++) {
		void *result;

		if (pthread_create(&thread, &attributes, small_stack, (void *)at))
			die("pthread_create");
		pthread_join(thread, &result);
		well += result == (void *)at;
	}
	printf("stack %zu, threads %d\n", stack, well);
	return 0;
}
