/*
 * A heap that the program brings itself, in front of any other: what was freed
 * last is handed out first. Nothing goes back, nothing is checked.
 */
#ifndef LIFO_HEAP_H
#define LIFO_HEAP_H
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define LIFO_UNIT 32
#define LIFO_CLASSES 64

struct lifo_block {
	size_t class;
	struct lifo_block *next;
	char bytes[LIFO_UNIT - 16];
};

static struct lifo_block lifo_arena[1 << 20], *lifo_free[LIFO_CLASSES];
static size_t lifo_used;
static atomic_flag lifo_lock = ATOMIC_FLAG_INIT;

void *malloc(size_t size)
{
	/* The head stands in front; 16 bytes of it are the program's. */
	size_t class = (size + 16 + LIFO_UNIT - 1) / LIFO_UNIT;
	struct lifo_block *block = NULL;

	while (atomic_flag_test_and_set(&lifo_lock))
		;
	if (class < LIFO_CLASSES && lifo_free[class]) {
		block = lifo_free[class];
		lifo_free[class] = block->next;
	} else if (class < sizeof lifo_arena / sizeof *lifo_arena - lifo_used) {
		block = lifo_arena + lifo_used;
		lifo_used += class;
		block->class = class;
	}
	atomic_flag_clear(&lifo_lock);
	if (!block) {
		errno = ENOMEM;
		return NULL;
	}
	return (char *)block + 16;
}

void free(void *pointer)
{
	struct lifo_block *block = pointer ? (void *)((char *)pointer - 16) : NULL;

	if (!block || block->class >= LIFO_CLASSES)
		return;
	while (atomic_flag_test_and_set(&lifo_lock))
		;
	block->next = lifo_free[block->class];
	lifo_free[block->class] = block;
	atomic_flag_clear(&lifo_lock);
}

void *calloc(size_t count, size_t size)
{
	void *block = malloc(count * size);

	return block ? memset(block, 0, count * size) : NULL;
}

void *realloc(void *old, size_t size)
{
	void *block = malloc(size);
	size_t held = old ? ((struct lifo_block *)((char *)old - 16))->class * LIFO_UNIT - 16 : 0;

	if (block && old)
		memcpy(block, old, held < size ? held : size);
	if (block)
		free(old);
	return block;
}
#endif
