/*
 * Writes to freed blocks and reads of them. The clean twins do the same just
 * before the free.
 */
#include "matrix.h"

static void write_freed(char value)
{
	char *block = allocate_block(size);
	char *other = allocate_block(size);

	if (!bad)
		store(block + offset_of_place(), inside, value);
	free_block(block);
	free_block(other);
	if (bad)
		store(block + offset_of_place(), inside, value);
	find_later(block);
}

static void write_mark(void)
{
	write_freed(MARK);
}

static void write_zero(void)
{
	write_freed(0);
}

/* What deadwalk fills freed memory with: such a write changes nothing. */
static void write_poison(void)
{
	write_freed(0x6b);
}

/* The last of many: freed when no more freed memory is kept in place. */
static char *among_many(char **blocks)
{
	for (int i = 0; i < plenty(); i++) {
		blocks[i] = allocate_block(size);
		store(blocks[i], size, MARK);
	}
	return blocks[plenty() - 1];
}

static void write_purged(void)
{
	char **blocks = calloc(plenty(), sizeof *blocks);
	char *block = among_many(blocks);

	for (int i = 0; i < plenty(); i++)
		free_block(blocks[i]);
	if (bad)
		store(block + offset_of_place(), inside, MARK);
	free(blocks);
	find_later(block);
}

static void read_purged(void)
{
	char **blocks = calloc(plenty(), sizeof *blocks);
	char *block = among_many(blocks);

	for (int i = 0; i < plenty(); i++)
		free_block(blocks[i]);
	if (bad)
		load(block + offset_of_place(), inside);
	free(blocks);
}

/* realloc gave another block: the old address is a freed one. */
static char *moved_away(char **now)
{
	char *block = allocate_block(size);
	size_t more = size;

	allocate_block(size); /* in the way of growing in place */
	*now = block;
	while (*now == block && more < size << 10)
		*now = move_block(*now, more *= 4);
	if (*now == block)
		exit(SKIPPED);
	return block;
}

static void write_moved(void)
{
	char *other = allocate_block(size);
	char *now, *block = moved_away(&now);

	free_block(other);
	store((bad ? block : now) + offset_of_place(), inside, MARK);
	find_later(block);
	free_block(now);
}

static void read_freed(void)
{
	char *block = allocate_block(size);

	store(block, size, 1);
	if (!bad)
		load(block + offset_of_place(), inside);
	free_block(block);
	if (bad)
		load(block + offset_of_place(), inside);
}

static void read_moved(void)
{
	char *now, *block = moved_away(&now);

	load((bad ? block : now) + offset_of_place(), inside);
	free_block(now);
}

int main(int argc, char **argv)
{
	static const struct matrix_case cases[] = {
		{ "write", write_mark },
		{ "write_zero", write_zero },
		{ "write_poison", write_poison },
		{ "write_purged", write_purged },
		{ "write_moved", write_moved },
		{ "read", read_freed },
		{ "read_purged", read_purged },
		{ "read_moved", read_moved },
		{ 0 },
	};

	return matrix(argc, argv, cases);
}
