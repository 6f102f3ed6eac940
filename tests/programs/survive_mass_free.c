/*
 * Blocks for 200 MB, freed in some order, by a program that lives on. Mode "trim":
 * what stays in memory, and after malloc_trim. "before", "after": a stale write, before the memory of its
 * block goes back or after that; told though the block is not used again.
 */
#include "survive.h"
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 200, MOST = 200000000 / SIZE };
static char *blocks[MOST];

static long resident_mb(void)
{
	long size, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file && fscanf(file, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return resident * PAGE / 1000000;
}

static int has_memory(char *at)
{
	unsigned char answer = 0;

	mincore((void *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1)), PAGE, &answer);
	return answer & 1;
}

int main(int count, char **args)
{
	const char *mode = count > 1 ? args[1] : "trim";
	char *volatile victim;
	long before = resident_mb();

	for (int i = 0; i < MOST; i++) {
		blocks[i] = malloc(SIZE);
		memset(blocks[i], i | 1, SIZE);
	}
	victim = blocks[MOST / 4];
	printf("all is in memory: %d\n", resident_mb() - before >= 200);
	for (int i = 0; i < MOST; i++) {
		free(blocks[i]);
		if (i == MOST / 3 && !strcmp(mode, "before"))
			victim[20] = 'x';
	}
	/* The blocks' addresses are the program's own; a sixteenth is metadata. */
	printf("most went back: %d\n", resident_mb() - before < 40);
	printf("the block's memory went back: %d\n", !has_memory(victim));
	if (!strcmp(mode, "after"))
		victim[20] = 'x';
	if (!strcmp(mode, "trim")) {
		printf("trimmed: %d\n", malloc_trim(0));
		printf("all went back: %d\n", resident_mb() - before < 15);
	}
	return 0;
}
