/* What the allocator patterns share. Each is deterministic: sizes and lifetimes
 * come from a generator with a fixed seed, work is a count and never a time.
 * Blocks are used as programs use them: written after malloc, read before free,
 * and what was read ends in a checksum that is printed. */
#ifndef PATTERN_H
#define PATTERN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How much to do: `percent` of the usual work, on `threads` threads where the
 * pattern has a choice. */
struct amount {
	unsigned percent;
	unsigned threads;
};

typedef uint64_t pattern(struct amount amount);

pattern cache_local, endurance, fragmentation, large, larson, live, producer_consumer, random_sizes,
	realloc_growth, short_threads, symbolic;

/* Operations (malloc and free pairs) of the pattern that ran, where it counts
 * them: for rates. */
extern _Atomic uint64_t operations;

static inline uint64_t scaled(uint64_t usual, struct amount amount)
{
	uint64_t scaled = usual * amount.percent / 100;
	return scaled ? scaled : 1;
}

/* xorshift64*: good enough, and cheaper than what is measured. */
static inline uint32_t draw(uint64_t *seed)
{
	uint64_t x = *seed;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*seed = x;
	return (uint32_t)(x * 0x2545f4914f6cdd1dULL >> 32);
}

/* A number in low..=high. */
static inline size_t between(uint64_t *seed, size_t low, size_t high)
{
	return low + (size_t)((uint64_t)draw(seed) * (high - low + 1) >> 32);
}

static inline void *must(void *block)
{
	if (!block) {
		fprintf(stderr, "no memory\n");
		exit(2);
	}
	return block;
}

/* How much of a block is written: small ones wholly, of others the head. */
#define HEAD ((size_t)128)

static inline void *filled(size_t size, unsigned value)
{
	unsigned char *block = must(malloc(size));
	memset(block, (int)value, size < HEAD ? size : HEAD);
	return block;
}

/* Reads what `filled` has written. */
static inline uint64_t sum(const unsigned char *block, size_t size)
{
	uint64_t word = 0, sum = 0;
	size_t end = size < HEAD ? size : HEAD, at = 0;
	for (; at + sizeof word <= end; at += sizeof word) {
		memcpy(&word, block + at, sizeof word);
		sum += word;
	}
	for (; at < end; at++)
		sum += block[at];
	return sum;
}

#endif
