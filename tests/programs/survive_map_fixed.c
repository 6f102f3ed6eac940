/*
 * A program that lays out its address space itself: MAP_FIXED at places of its
 * own, a scan with MAP_FIXED_NOREPLACE, its own page right behind every piece of
 * the heap, and a look at /proc/self/maps.
 */
#include "survive.h"
#include <sys/mman.h>

enum { PAGE = 4096, CLASSES = 16, PIECES = 4000 };

static char *map_at(size_t addr, size_t len, int how)
{
	return mmap((void *)addr, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how, -1, 0);
}

/* Where other programs put their memory: Go, GHC, CUDA, DPDK, JVM, V8, rr ... */
static const size_t places[] = {
	0x10000000, 0x70000000, 0x100000000, 0x200000000, 0x1000000000, 0x4200000000,
	0xc000000000, 0x40000000000, 0x80000000000, 0x100000000000, 0x140000000000,
	0x1f0000000000, 0x600000000000, 0x700000000000,
};

static int own_places(void)
{
	enum { COUNT = sizeof places / sizeof *places, BYTES = 64 << 20 };
	int well = 0;

	for (int at = 0; at < COUNT; at++) {
		char *got = map_at(places[at], BYTES, MAP_FIXED);

		if (got == MAP_FAILED)
			continue;
		got[0] = got[BYTES - 1] = at + 1;
	}
	live_a_little(1);
	for (int at = 0; at < COUNT; at++)
		well += ((char *)places[at])[0] == at + 1 && ((char *)places[at])[(64 << 20) - 1] == at + 1;
	return well;
}

/*
 * A page in each TiB, as sanitizers and emulators look for room. Not at its start:
 * there the heap may be.
 */
static int scan(void)
{
	int well = 0;

	for (size_t tib = 1; tib < 96; tib++) {
		size_t addr = (tib << 40) + (37 << 20);

		well += map_at(addr, PAGE, MAP_FIXED_NOREPLACE) == (char *)addr;
	}
	return well;
}

/* The end of the mapping that `addr` lies in; 0 if it lies in none. */
static size_t mapping_end(const void *addr)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	size_t start, end, found = 0;
	char line[4096];

	while (maps && fgets(line, sizeof line, maps))
		if (sscanf(line, "%zx-%zx rw-p", &start, &end) == 2 && start <= (size_t)addr &&
		    (size_t)addr < end)
			found = end;
	if (maps)
		fclose(maps);
	return found;
}

/* Its own page behind the heap's memory of every size; then the heap grows. */
static int neighbours(void)
{
	static unsigned char *block[PIECES];
	static char *page[CLASSES];
	int well = 0;

	for (int kind = 0; kind < CLASSES; kind++) {
		size_t size = (size_t)24 << kind, end;
		int count = kind < 8 ? PIECES : 20;

		block[0] = malloc(size);
		end = mapping_end(block[0]);
		if (!end)
			fail("a block lies in no mapping");
		page[kind] = map_at(end, PAGE, MAP_FIXED_NOREPLACE);
		if (page[kind] != MAP_FAILED)
			memset(page[kind], kind + 1, PAGE);
		mark(block[0], size, 77);
		for (int at = 1; at < count; at++) {
			if (!(block[at] = malloc(size)))
				fail("no memory beside a mapping of the program's");
			mark(block[at], size, at);
		}
		check(block[0], size, 77);
		for (int at = 1; at < count; at++) {
			check(block[at], size, at);
			free(block[at]);
		}
		free(block[0]);
	}
	for (int kind = 0; kind < CLASSES; kind++) {
		if (page[kind] != MAP_FAILED)
			check((unsigned char *)page[kind], PAGE, kind + 1);
		well++;
	}
	return well;
}

int main(void)
{
	struct load load = { .seed = 1 };

	load_steps(&load, 1000);
	printf("own places kept: %d\n", own_places());
	printf("scan found: %d\n", scan());
	printf("neighbours kept: %d\n", neighbours());
	load_steps(&load, 1000);
	load_end(&load);
	return 0;
}
