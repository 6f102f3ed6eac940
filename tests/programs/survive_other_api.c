/*
 * Uses another heap's own functions and gives what they return to the C names,
 * as its manual allows. Compiled with -DJEMALLOC, -DTCMALLOC or -DMIMALLOC.
 */
#include "survive.h"

#if defined JEMALLOC
void *mallocx(size_t size, int flags);
#define OTHER(size) mallocx(size, 0)
#elif defined TCMALLOC
void *tc_malloc(size_t size);
#define OTHER(size) tc_malloc(size)
#else
void *mi_malloc(size_t size);
#define OTHER(size) mi_malloc(size)
#endif

enum { BLOCKS = 300 };

int main(void)
{
	static unsigned char *block[BLOCKS];
	int well = 0;

	for (int at = 0; at < BLOCKS; at++) {
		size_t size = 1 + at * at * 3;

		block[at] = OTHER(size);
		mark(block[at], size, at);
		if (malloc_usable_size(block[at]) < size)
			fail("less usable than asked for");
		if (at % 3 == 0)
			block[at] = realloc(block[at], size + 500);
		live_a_little(at);
	}
	for (int at = 0; at < BLOCKS; at++) {
		size_t size = 1 + at * at * 3, edge = size > EDGE ? EDGE : size;

		check(block[at], edge, at);
		free(block[at]);
		well++;
	}
	printf("blocks %d\n", well);
	return 0;
}
