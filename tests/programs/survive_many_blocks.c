/*
 * 60,000 live blocks of 200 kB, of which the first and the last byte are
 * touched; every second one is freed first. survive_many_blocks [BLOCKS]
 */
#include "survive.h"

enum { SIZE = 200000, PAGE_KB = 4 };

int main(int argc, char **argv)
{
	int blocks = number(argc, argv, 1, 60000), well = 0;
	unsigned char **block = calloc(blocks, sizeof *block);
	long before = status_kb("VmRSS:"), full;

	for (int at = 0; at < blocks; at++) {
		if (!(block[at] = malloc(SIZE)))
			fail("a block was refused");
		block[at][0] = block[at][SIZE - 1] = at % 251;
	}
	full = status_kb("VmRSS:") - before;
	for (int start = 0; start < 2; start++)
		for (int at = start; at < blocks; at += 2) {
			well += block[at][0] == at % 251 && block[at][SIZE - 1] == at % 251;
			free(block[at]);
		}
	for (int at = 0; at < blocks / 10; at++)
		free(memset(malloc(SIZE + at), 1, 1));
	printf("blocks %d, well %d\n", blocks, well);
	printf("memory for two pages each and no more than four: %d\n",
	       full >= 2L * PAGE_KB * blocks && full <= 4L * PAGE_KB * blocks);
	free(block);
	printf("most is given back: %d\n", status_kb("VmRSS:") - before < full / 4);
	return 0;
}
