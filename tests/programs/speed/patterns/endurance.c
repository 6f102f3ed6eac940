/* Random blocks for so many seconds (the amount's `percent`), with a line a
 * second: operations so far and resident kilobytes. What this is about is growth,
 * so here, and only here, the clock decides. */
#include "pattern.h"
#include <time.h>

#define SLOTS 4096
#define STEPS_A_LOOK 1000000

static long resident_kib(void)
{
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	if (!file || fscanf(file, "%*d %ld", &pages) != 1)
		exit(2);
	fclose(file);
	return pages * 4;
}

static time_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

uint64_t endurance(struct amount amount)
{
	uint64_t seed = 42, total = 0;
	time_t begin = now(), said = begin;
	unsigned char **blocks = must(calloc(SLOTS, sizeof *blocks));
	while (said - begin < (time_t)amount.percent) {
		for (unsigned step = 0; step < STEPS_A_LOOK; step++) {
			unsigned char **block = &blocks[draw(&seed) % SLOTS];
			if (*block)
				total += **block;
			free(*block);
			/* Seldom a large one, else small. */
			size_t most = draw(&seed) % 16384 ? 256 : 200000;
			*block = must(malloc(between(&seed, 8, most)));
			**block = (unsigned char)step;
		}
		operations += STEPS_A_LOOK;
		if (now() == said)
			continue;
		said = now();
		printf("%llu operations, %ld KiB\n", (unsigned long long)operations,
		       resident_kib());
		fflush(stdout);
	}
	for (unsigned at = 0; at < SLOTS; at++)
		free(blocks[at]);
	free(blocks);
	return total;
}
