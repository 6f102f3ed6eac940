/* Blocks of 32 kB to 4 MB, the larger the rarer: buffers that come and go, a
 * quarter of them wholly written, the others in part, over a population that
 * stays a while. */
#include "pattern.h"

#define STEPS 30000
#define LIVING 48
#define PAGE 4096

struct buffer {
	unsigned char *bytes;
	size_t size;
};

/* Every size from 32 kB on is as likely as any of twice its size is half. */
static size_t large_size(uint64_t *seed)
{
	size_t octave = (size_t)32768 << draw(seed) % 7;
	return between(seed, octave, 2 * octave);
}

static struct buffer new_buffer(uint64_t *seed, unsigned value)
{
	struct buffer buffer = { .size = large_size(seed) };
	buffer.bytes = must(malloc(buffer.size));
	/* Its beginning, as if a message had come that fills a part of it. */
	size_t used = draw(seed) % 4 ? buffer.size / 16 : buffer.size;
	memset(buffer.bytes, (int)value, used);
	buffer.bytes[buffer.size - 1] = (unsigned char)value;
	return buffer;
}

static uint64_t drop(struct buffer *buffer)
{
	uint64_t total = 0;
	if (!buffer->bytes)
		return 0;
	for (size_t at = 0; at < buffer->size / 16; at += 64)
		total += buffer->bytes[at];
	free(buffer->bytes);
	return total;
}

uint64_t large(struct amount amount)
{
	uint64_t seed = 42, total = 0, steps = scaled(STEPS, amount);
	struct buffer *living = must(calloc(LIVING, sizeof *living));
	for (uint64_t step = 0; step < steps; step++) {
		/* Two of three are dropped at once, the third stays. */
		struct buffer fresh = new_buffer(&seed, (unsigned)step);
		if (step % 3) {
			total += drop(&fresh);
			continue;
		}
		struct buffer *old = &living[between(&seed, 0, LIVING - 1)];
		total += drop(old);
		*old = fresh;
	}
	for (unsigned i = 0; i < LIVING; i++)
		total += drop(&living[i]);
	free(living);
	operations += steps;
	return total;
}
