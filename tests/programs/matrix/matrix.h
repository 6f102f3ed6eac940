/*
 * What the programs of the misuse matrix share.
 *
 * PROGRAM CASE SIZE bad|clean [LEN [PLACE [FOUND]]]
 *
 * One case has one bug, on blocks of SIZE bytes; its clean twin does the same
 * without. LEN bytes are written at PLACE (first, middle, last); then comes what
 * is to find them: FOUND is free, realloc, reuse, exit or sweep; or retired, and
 * the block must never be given out again. A program that survives returns
 * STATUS.
 *
 * Blocks are taken and given back by functions of their own, so that a report
 * can be asked for their names. Bytes are written one by one: no function of
 * libc that an allocator may have wrapped sees them.
 */
#ifndef MATRIX_H
#define MATRIX_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../memory.h"
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Longer than any sweep takes: a finding that does not come ends the program. */
#define MOST_SECONDS 20
/* The allocator did what it must not. */
#define WRONG 9
/* A case that cannot be made here: the allocator moved nothing, say. */
#define SKIPPED 77
/* The byte that is written. */
#define MARK 'A'
#define OUT_OF_LINE __attribute__((noinline, unused))

enum { SMALL_MOST = 256, MEDIUM_MOST = 32768 };

static size_t size;
static int bad;
static size_t len = 1;
static size_t inside = 1; /* LEN, but no more than SIZE */
static const char *place = "first";
static const char *found = "exit";

struct matrix_case {
	const char *name;
	void (*run)(void);
};

OUT_OF_LINE static char *allocate_block(size_t bytes)
{
	return hide(malloc(bytes)); /* allocated here */
}

OUT_OF_LINE static void free_block(void *block)
{
	free(block); /* freed here */
}

OUT_OF_LINE static char *move_block(void *block, size_t bytes)
{
	return hide(realloc(block, bytes)); /* moved here */
}

static inline void store(char *at, size_t bytes, char value)
{
	volatile char *to = at;

	for (size_t i = 0; i < bytes; i++)
		to[i] = value;
}

static inline int load(const char *at, size_t bytes)
{
	const volatile char *from = at;
	int sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum += from[i];
	return sum;
}

/* Where PLACE is in a block. */
static inline size_t offset_of_place(void)
{
	if (!strcmp(place, "last"))
		return size - inside;
	return !strcmp(place, "middle") ? (size - inside) / 2 : 0;
}

/* So many blocks push every one freed before them out of any quarantine. */
static inline int plenty(void)
{
	if (size <= SMALL_MOST)
		return 4000;
	return size <= MEDIUM_MOST ? 400 : 40;
}

/* The bytes that a new owner of every freed block of that size would ask for. */
static inline void reuse(void)
{
	int rounds = size <= MEDIUM_MOST ? 8192 : plenty();

	for (int i = 0; i < rounds; i++)
		free(hide(malloc(size)));
}

/*
 * Waits until a misuse is told on stderr, which is a file: the gate for what only
 * another thread can find.
 */
static inline void await_finding(void)
{
	const struct timespec ms = { 0, 1000000 };
	struct stat told;

	alarm(MOST_SECONDS);
	while (fstat(STDERR_FILENO, &told) == 0 && told.st_size == 0)
		nanosleep(&ms, NULL);
}

/* Work for the sweep to look on, in the twin that it must find nothing in. */
static inline void work(void)
{
	char *blocks[64] = { 0 };
	size_t bytes = size <= MEDIUM_MOST ? size : MEDIUM_MOST * 2;

	for (int i = 0; i < 100000; i++) {
		char **block = &blocks[i * 7 % 64];

		free(*block);
		*block = hide(malloc(bytes - i % 8));
		store(*block, 8, MARK);
	}
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
}

/* As reuse, but `block` shall not be among them. */
static inline void reuse_others(const char *block)
{
	int rounds = size <= MEDIUM_MOST ? 8192 : plenty();

	for (int i = 0; i < rounds; i++) {
		char *other = hide(malloc(size));

		if (other == block)
			exit(WRONG);
		free(other);
	}
}

/* What finds damage of `block` that no call about the block itself does. */
static inline void find_later(const char *block)
{
	if (!strcmp(found, "reuse")) {
		reuse();
	} else if (!strcmp(found, "retired")) {
		reuse_others(block);
	} else if (!strcmp(found, "sweep")) {
		if (bad)
			await_finding();
		else
			work();
		_exit(STATUS);
	}
}

static inline int matrix(int argc, char **argv, const struct matrix_case *cases)
{
	if (argc < 4)
		return 2;
	size = strtoul(argv[2], NULL, 0);
	bad = !strcmp(argv[3], "bad");
	if (argc > 4)
		len = strtoul(argv[4], NULL, 0);
	inside = len < size ? len : size;
	if (argc > 5)
		place = argv[5];
	if (argc > 6)
		found = argv[6];
	for (; cases->name; cases++) {
		if (!strcmp(cases->name, argv[1])) {
			cases->run();
			return STATUS;
		}
	}
	return 2;
}
#endif
