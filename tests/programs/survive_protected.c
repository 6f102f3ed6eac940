/*
 * Blocks that are freed while the program itself has taken the access to a part
 * of them away: libc unmaps blocks of such a size.
 */
#include "survive.h"
#include <sys/mman.h>

enum { PAGE = 4096, ROUNDS = 20 };

static void round_of(size_t size, size_t from, size_t len, int access)
{
	char *block;

	if (posix_memalign((void **)&block, PAGE, size))
		die("posix_memalign");
	memset(block, 1, size);
	if (mprotect(block + from, len, access))
		die("mprotect");
	free(block);
}

int main(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	for (int at = 0; at < ROUNDS; at++) {
		/* A stack with a page that must not be reached; sealed data. */
		round_of(256 << 10, 0, PAGE, PROT_NONE);
		round_of(3 << 20, 0, 3 << 20, PROT_READ);
		round_of(40 << 20, 8 << 20, 8 << 20, PROT_NONE);
		round_of(100 << 20, 0, 100 << 20, PROT_NONE);
	}
	printf("lives\n");
	return 0;
}
