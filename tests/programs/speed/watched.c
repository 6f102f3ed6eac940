/*
 * watched KIND COUNT: CPU time of making a block, writing to it and freeing it, in
 * nanoseconds; COUNT of them. KIND is plain, or watched, which asks the library to
 * watch each (where there is none it is plain), or kernel: what the kernel takes for
 * writing to a page that is new and for guarding it, 0 if it has no guards.
 */
#include "../gates.h"
#include <sys/mman.h>

enum { BYTES = 48, PAGE = 4096, GUARD_INSTALL = 102 };

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

static int pages(long count)
{
	/* Every other page: blocks that lie alone have one between them. */
	size_t len = count * 2 * PAGE;
	char *page = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (page == MAP_FAILED)
		die("mmap");
	for (long at = 0; at < count; at++, page += 2 * PAGE) {
		*(volatile char *)page = 1;
		if (madvise(page, PAGE, GUARD_INSTALL))
			return 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	int is_watched = !strcmp(argv[1], "watched");
	int is_kernel = !strcmp(argv[1], "kernel");
	long count = atol(argv[2]);

	/* What is done once is done. */
	rounds(is_watched, 100);
	long before = cpu_ns();

	if (!is_kernel)
		rounds(is_watched, count);
	else if (!pages(count))
		before = cpu_ns();
	printf("%ld\n", (cpu_ns() - before) / count);
	return 0;
}
