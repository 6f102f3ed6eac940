/*
 * What the survival programs share: work on the heap whose every block is
 * checked, and the few facts they ask of the system. A block that lost a byte
 * ends the program with SIGABRT.
 */
#ifndef SURVIVE_H
#define SURVIVE_H
#include "gates.h"
#include <malloc.h>

enum { HELD = 64, EDGE = 64 };

/* One thread's blocks, and its own random numbers. */
struct load {
	unsigned seed;
	unsigned char *block[HELD];
	size_t size[HELD];
};

static inline void fail(const char *what)
{
	char line[200];
	int len = snprintf(line, sizeof line, "survive: %s\n", what);

	if (write(2, line, len) < 0)
		_exit(1);
	abort();
}

/* A block that the compiler may not do without. */
static inline void *made(void *block)
{
	__asm__ volatile("" : "+r"(block));
	return block;
}

static inline unsigned draw(struct load *load)
{
	load->seed = load->seed * 1103515245u + 12345u;
	return load->seed >> 8;
}

/* The edges of a block carry a byte of its own; all of a small one does. */
static inline void mark(unsigned char *block, size_t size, unsigned char byte)
{
	if (size <= 2 * EDGE) {
		memset(block, byte, size);
		return;
	}
	memset(block, byte, EDGE);
	memset(block + size - EDGE, byte, EDGE);
}

static inline void check(const unsigned char *block, size_t size, unsigned char byte)
{
	size_t edge = size <= 2 * EDGE ? size : EDGE;

	for (size_t at = 0; at < edge; at++)
		if (block[at] != byte || block[size - edge + at] != byte)
			fail("a block lost its bytes");
}

/* Mostly small, some medium, a few large. */
static inline size_t draw_size(struct load *load)
{
	unsigned kind = draw(load) % 64;

	if (kind == 0)
		return 33000 + draw(load) % 200000;
	if (kind < 8)
		return 1 + draw(load) % 8000;
	return 1 + draw(load) % 300;
}

static inline unsigned char byte_of(int at, size_t size)
{
	return (unsigned char)(at * 37 + size * 11 + 5);
}

static inline void *get(struct load *load, size_t size)
{
	void *block;

	switch (draw(load) % 8) {
	case 0:
		block = calloc(1, size);
		for (size_t at = 0; block && at < size && at < EDGE; at++)
			if (((char *)block)[at])
				fail("calloc gave bytes that are not zero");
		return block;
	case 1:
		return memalign(64, size);
	default:
		return malloc(size);
	}
}

static inline void load_step(struct load *load)
{
	int at = draw(load) % HELD;
	unsigned char *block = load->block[at];
	size_t old = load->size[at], size = draw_size(load);

	if (block)
		check(block, old, byte_of(at, old));
	if (block && draw(load) % 2) {
		free(block);
		load->block[at] = NULL;
		return;
	}
	if (block && !(block = realloc(block, size)))
		fail("realloc gave nothing");
	if (!block && !(block = get(load, size)))
		fail("malloc gave nothing");
	mark(block, size, byte_of(at, size));
	load->block[at] = block;
	load->size[at] = size;
}

static inline void load_steps(struct load *load, int steps)
{
	while (steps--)
		load_step(load);
}

/* Checks and frees what is held. */
static inline void load_end(struct load *load)
{
	for (int at = 0; at < HELD; at++) {
		if (load->block[at])
			check(load->block[at], load->size[at], byte_of(at, load->size[at]));
		free(load->block[at]);
		load->block[at] = NULL;
	}
}

/* A short life of all sorts of blocks. */
static inline void live_a_little(unsigned seed)
{
	struct load load = { .seed = seed };

	load_steps(&load, 200);
	load_end(&load);
}

/* Threads that load the heap until they are told to stop. */
static atomic_int load_stop;
static atomic_ulong load_rounds;

static inline void *load_thread(void *seed)
{
	struct load load = { .seed = (unsigned)(size_t)seed };

	while (!load_stop) {
		load_steps(&load, 50);
		load_rounds++;
	}
	load_end(&load);
	return NULL;
}

static inline void start_load(pthread_t *threads, int count)
{
	load_stop = 0;
	for (int at = 0; at < count; at++)
		if (pthread_create(&threads[at], NULL, load_thread, (void *)(size_t)(at + 1)))
			die("pthread_create");
	while (load_rounds < (unsigned long)count)
		sched_yield();
}

static inline void stop_load(pthread_t *threads, int count)
{
	load_stop = 1;
	for (int at = 0; at < count; at++)
		pthread_join(threads[at], NULL);
}

/* A field of /proc/self/status in kB, such as "VmRSS:". */
static inline long status_kb(const char *field)
{
	char line[256];
	long value = -1;
	FILE *file = fopen("/proc/self/status", "r");

	if (!file)
		die("/proc/self/status");
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, field, strlen(field)))
			value = atol(line + strlen(field));
	fclose(file);
	return value;
}

static inline int number(int argc, char **argv, int at, int otherwise)
{
	return argc > at ? atoi(argv[at]) : otherwise;
}
#endif
