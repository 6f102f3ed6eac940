/*
 * Requests that the standard has refused: no memory, and errno says why. Nothing
 * of the heap changes. The clean twins ask for what can be had.
 */
#include "matrix.h"
#include <errno.h>

static void check(int right)
{
	if (!right)
		exit(WRONG);
}

static void check_refused(void *block, int why)
{
	check(!block && errno == why);
}

static volatile size_t too_much = (size_t)PTRDIFF_MAX + 1;
/* More than an address space holds, less than malloc refuses unseen. */
static volatile size_t no_room = (size_t)1 << 46;

static void huge(void)
{
	char *block = allocate_block(size);

	store(block, size, MARK);
	errno = 0;
	if (bad) {
		check_refused(malloc(too_much), ENOMEM);
		errno = 0;
		check_refused(malloc(no_room), ENOMEM);
		errno = 0;
		check_refused(realloc(block, too_much), ENOMEM);
		block = hidden;
		check(block[size - 1] == MARK);
	}
	block = move_block(block, size * 2);
	check(block && block[size - 1] == MARK);
	free_block(block);
}

static void multiplied(void)
{
	size_t half = SIZE_MAX / 2 + 2;
	char *block = hide(calloc(size, 2));

	check(block && !block[0] && !block[size * 2 - 1]);
	errno = 0;
	if (bad) {
		check_refused(calloc(half + too_much - too_much, 2), ENOMEM);
		errno = 0;
		check_refused(reallocarray(block, half + too_much - too_much, 2), ENOMEM);
		store(block, size, MARK);
	}
	block = hide(reallocarray(block, size, 4));
	check(block != NULL);
	free_block(block);
}

static void aligned(void)
{
	static const size_t wrong[] = { 0, 1, 4, 3, 24, 4095 };
	static char untouched;
	void *block = &untouched;

	errno = 0;
	for (size_t i = 0; bad && i < sizeof wrong / sizeof *wrong; i++)
		check(posix_memalign(&block, wrong[i], size) == EINVAL);
	check(block == &untouched && errno == 0);
	if (bad) {
		check(posix_memalign(&block, 64, too_much) == ENOMEM);
		check(block == &untouched);
	}
	check(posix_memalign(&block, 64, size) == 0 && (uintptr_t)block % 64 == 0);
	free_block(block);
	block = aligned_alloc(256, 256);
	check(block && (uintptr_t)block % 256 == 0);
	free_block(block);
}

/* C17 7.22.3.1: an alignment that is not supported is refused. */
static void aligned_alloc_wrongly(void)
{
	volatile size_t align = bad ? 24 : 32;
	void *block;

	errno = 0;
	block = aligned_alloc(align, size - size % 96 + 96);
	if (bad)
		check_refused(block, EINVAL);
	else
		check(block && (uintptr_t)block % 32 == 0);
	free_block(block);
}

int main(int argc, char **argv)
{
	static const struct matrix_case cases[] = {
		{ "huge", huge },
		{ "multiplied", multiplied },
		{ "aligned", aligned },
		{ "aligned_alloc", aligned_alloc_wrongly },
		{ 0 },
	};

	return matrix(argc, argv, cases);
}
