/*
 * Free of what malloc never gave out. BAD 1: the middle of a block. BAD 2: the
 * stack. FIXED: the block. LOOKALIKE: blocks of every other allocating call.
 */
#include "memory.h"

int main(void)
{
	char stack[64] __attribute__((aligned(16))) = { 0 };
	char *block = hide(malloc(64));

#if defined BAD && BAD == 1
	free(hide(block + 16));
	free(block);
#elif defined BAD
	free(hide(stack + 16));
	free(block);
#elif defined FIXED
	free(block);
#else
	void *aligned = NULL;

	free(block);
	if (posix_memalign(&aligned, 256, 100) == 0)
		free(aligned);
	free(aligned_alloc(64, 128));
	free(memalign(4096, 10));
	free(realloc(NULL, 20));
	free(reallocarray(NULL, 3, 7));
	free(strdup("text"));
	free(calloc(1, 1 << 20));
	free(malloc(0));
	free(NULL);
#endif
	return STATUS + stack[0];
}
