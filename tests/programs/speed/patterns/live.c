/* Ten million small blocks that live at once; they die in another order than
 * that of their birth. */
#include "pattern.h"

#define BLOCKS 10000000
/* Coprime to the number of blocks, unless somebody chooses an odd percentage. */
#define STRIDE 7919

uint64_t live(struct amount amount)
{
	uint64_t seed = 42, total = 0, blocks = scaled(BLOCKS, amount);
	unsigned char **block = must(malloc(blocks * sizeof *block));
	for (uint64_t n = 0; n < blocks; n++) {
		size_t size = between(&seed, 8, 64);
		block[n] = filled(size, (unsigned)n);
	}
	for (uint64_t n = 0, at = 0; n < blocks; n++, at = (at + STRIDE) % blocks) {
		total += block[at] ? block[at][0] : 0;
		free(block[at]);
		block[at] = NULL;
	}
	free(block);
	operations += blocks;
	return total;
}
