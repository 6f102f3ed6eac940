/* Asks how large its blocks are and writes all of that, as glibc allows. */
#include "survive.h"

enum { BLOCKS = 2000 };

int main(void)
{
	static unsigned char *block[BLOCKS];
	struct load load = { .seed = 3 };
	int well = 0;

	for (int at = 0; at < BLOCKS; at++) {
		size_t size = at < 1500 ? (size_t)at : draw_size(&load) * 3;

		block[at] = at % 3 ? malloc(size) : memalign(64, size);
		size_t usable = malloc_usable_size(block[at]);

		if (usable < size)
			fail("less usable than asked for");
		memset(block[at], at, usable);
		if (at % 4 == 0) {
			block[at] = realloc(block[at], usable + at + 1);
			usable = malloc_usable_size(block[at]);
			memset(block[at], at, usable);
		}
	}
	for (int at = 0; at < BLOCKS; at++) {
		size_t usable = malloc_usable_size(block[at]);

		for (size_t n = 0; n < usable; n++)
			if (block[at][n] != (unsigned char)at)
				fail("a block lost its bytes");
		well++;
		free(block[at]);
	}
	printf("of nothing: %zu, blocks %d\n", malloc_usable_size(NULL), well);
	return 0;
}
