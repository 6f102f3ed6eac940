/* Vectors that grow by realloc, several at a time so that they are in each
 * other's way: some by small steps, some by doubling. Each is filled, read and
 * freed; another begins in its place. */
#include "pattern.h"

#define VECTORS 12
#define PUSHES 280000000
#define SMALL_STEP 48
#define LARGEST (600u << 10)

struct vector {
	unsigned char *bytes;
	size_t length, capacity, end;
	int doubles;
};

static void begin(struct vector *vector, uint64_t *seed)
{
	*vector = (struct vector){ .doubles = draw(seed) % 4 != 0 };
	/* Small steps are for what stays small: most end early. */
	size_t most = vector->doubles ? LARGEST : 16384;
	vector->end = between(seed, 64, most >> draw(seed) % 8);
}

static void push(struct vector *vector, uint64_t value)
{
	if (vector->length + sizeof value > vector->capacity) {
		size_t more = vector->doubles ? vector->capacity : SMALL_STEP;
		vector->capacity += more ? more : 64;
		vector->bytes = must(realloc(vector->bytes, vector->capacity));
		operations++;
	}
	memcpy(vector->bytes + vector->length, &value, sizeof value);
	vector->length += sizeof value;
}

static uint64_t read_back(const struct vector *vector)
{
	uint64_t total = 0;
	for (size_t at = 0; at < vector->length; at += sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, vector->bytes + at, sizeof word);
		total += word;
	}
	return total;
}

uint64_t realloc_growth(struct amount amount)
{
	uint64_t seed = 42, total = 0, pushes = scaled(PUSHES, amount);
	struct vector vectors[VECTORS] = { 0 };
	for (unsigned i = 0; i < VECTORS; i++)
		begin(&vectors[i], &seed);
	for (uint64_t n = 0; n < pushes;) {
		struct vector *vector = &vectors[draw(&seed) % VECTORS];
		/* A run of pushes to one vector, as programs make them. */
		for (unsigned run = 0; run < 16 && vector->length < vector->end; run++, n++)
			push(vector, n);
		if (vector->length < vector->end)
			continue;
		total += read_back(vector);
		free(vector->bytes);
		begin(vector, &seed);
	}
	for (unsigned i = 0; i < VECTORS; i++) {
		total += read_back(&vectors[i]);
		free(vectors[i].bytes);
	}
	return total;
}
