/*
 * Writes behind and in front of a block that has live neighbours. The clean
 * twins write the block's own last and first bytes.
 */
#include "matrix.h"

enum { BLOCKS = 9, VICTIM = 4 };

static char *blocks[BLOCKS];

static char *with_neighbours(void)
{
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = allocate_block(size);
	return blocks[VICTIM];
}

/* What finds it; at the exit the blocks were never freed. */
static void find(void)
{
	char *block = blocks[VICTIM];

	if (!strcmp(found, "retired"))
		free_block(block);
	find_later(block);
	if (!strcmp(found, "realloc"))
		blocks[VICTIM] = move_block(blocks[VICTIM], size * 4);
	if (!strcmp(found, "free") || !strcmp(found, "realloc"))
		for (int i = 0; i < BLOCKS; i++)
			free_block(blocks[i]);
}

static void overflow(void)
{
	char *block = with_neighbours();

	store(bad ? block + size : block + size - inside, bad ? len : inside, MARK);
	find();
}

static void underflow(void)
{
	char *block = with_neighbours();

	store(bad ? block - len : block, len, MARK);
	find();
}

/* Every byte that malloc_usable_size admits is the program's. */
static void usable(void)
{
	char *block = with_neighbours();

	store(block, malloc_usable_size(block), MARK);
	find();
}

static void zero_write(void)
{
	char *block = allocate_block(0);

	if (bad)
		store(block, len, MARK);
	free_block(block);
}

static void zero_read(void)
{
	char *block = allocate_block(0);

	if (bad)
		load(block, len);
	free_block(block);
}

int main(int argc, char **argv)
{
	static const struct matrix_case cases[] = {
		{ "overflow", overflow },
		{ "underflow", underflow },
		{ "usable", usable },
		{ "zero_write", zero_write },
		{ "zero_read", zero_read },
		{ 0 },
	};

	return matrix(argc, argv, cases);
}
