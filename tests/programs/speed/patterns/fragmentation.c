/* Waves of sizes with mixed lifetimes: each wave allocates blocks of its own
 * range of sizes into the holes of the waves before. Most blocks of a wave die in
 * random order at its end, a part of them some waves later. */
#include "pattern.h"

#define WAVES 240
#define BLOCKS 20000
#define KEPT_WAVES 6
/* One in so many outlives its wave. */
#define KEPT_IN 8

struct kept {
	unsigned char *blocks[BLOCKS];
	unsigned count;
};

static size_t wave_size(unsigned wave, uint64_t *seed)
{
	static const size_t middles[] = { 24, 200, 48, 700, 90, 1500, 32, 400, 3000, 64 };
	size_t middle = middles[wave % 10];
	return between(seed, middle / 2, middle * 3 / 2);
}

static void shuffle(unsigned char **blocks, unsigned count, uint64_t *seed)
{
	for (unsigned i = count; i > 1; i--) {
		unsigned other = (unsigned)between(seed, 0, i - 1);
		unsigned char *block = blocks[i - 1];
		blocks[i - 1] = blocks[other];
		blocks[other] = block;
	}
}

static uint64_t free_all(struct kept *kept)
{
	uint64_t total = 0;
	for (unsigned i = 0; i < kept->count; i++) {
		total += kept->blocks[i][0];
		free(kept->blocks[i]);
	}
	kept->count = 0;
	return total;
}

uint64_t fragmentation(struct amount amount)
{
	uint64_t seed = 42, total = 0, waves = scaled(WAVES, amount);
	unsigned char **blocks = must(calloc(BLOCKS, sizeof *blocks));
	struct kept *kept = must(calloc(KEPT_WAVES, sizeof *kept));
	for (unsigned wave = 0; wave < waves; wave++) {
		struct kept *oldest = &kept[wave % KEPT_WAVES];
		/* Small blocks come in larger numbers. */
		unsigned count = wave_size(wave, &(uint64_t){ 1 }) < 1000 ? BLOCKS : BLOCKS / 4;
		for (unsigned i = 0; i < count; i++)
			blocks[i] = filled(wave_size(wave, &seed), i);
		shuffle(blocks, count, &seed);
		total += free_all(oldest);
		for (unsigned i = 0; i < count; i++) {
			if (i % KEPT_IN == 0) {
				oldest->blocks[oldest->count++] = blocks[i];
				continue;
			}
			total += blocks[i][0];
			free(blocks[i]);
		}
		operations += count;
	}
	for (unsigned i = 0; i < KEPT_WAVES; i++)
		total += free_all(&kept[i]);
	free(kept);
	free(blocks);
	return total;
}
