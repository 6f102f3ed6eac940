/*
 * watched KIND COUNT: CPU time of making a block, writing to it and freeing it, in
 * nanoseconds; COUNT of them. KIND is plain, or watched, which asks the library to
 * watch each (where there is none it is plain).
 */
#include "../gates.h"

enum { BYTES = 48 };

int deadwalk_watch(const void *block) __attribute__((weak));

static long cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void rounds(int is_watched, long count)
{
	for (long at = 0; at < count; at++) {
		char *volatile block = malloc(BYTES);

		if (!block)
			die("malloc");
		block[0] = 1;
		if (is_watched && deadwalk_watch)
			deadwalk_watch(block);
		free(block);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	int is_watched = !strcmp(argv[1], "watched");
	long count = atol(argv[2]);

	/* What is done once is done. */
	rounds(is_watched, 100);
	long before = cpu_ns();

	rounds(is_watched, count);
	printf("%ld\n", (cpu_ns() - before) / count);
	return 0;
}
