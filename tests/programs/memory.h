/*
 * What the memory programs share. Pointers go through a volatile, or the
 * compiler sees the bug, warns and removes it. Every program ends with STATUS,
 * which tells "ran to its end" from every accident.
 */
#ifndef MEMORY_H
#define MEMORY_H
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS 7

static char *volatile hidden;

static inline char *hide(void *block)
{
	hidden = (char *)block;
	return hidden;
}

/* Enough allocations of one size to bring every freed block of it round again. */
static inline void churn(size_t size)
{
	enum { BLOCKS = 20000 };

	for (int i = 0; i < BLOCKS; i++)
		free(hide(malloc(size)));
}
#endif
