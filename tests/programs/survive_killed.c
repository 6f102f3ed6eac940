/*
 * Takes and touches memory until the kernel ends it: for a limit that is no
 * limit of the process. Frees a block twice before, to be found afterwards.
 */
#include "survive.h"

static char *volatile block;

int main(void)
{
	live_a_little(1);
	block = malloc(64);
	free(block);
	free(block);
	for (size_t taken = 0; taken < 4UL << 30; taken += 1 << 20) {
		char *more = malloc(1 << 20);

		if (!more)
			return 1;
		memset(made(more), 1, 1 << 20);
	}
	return 2;
}
