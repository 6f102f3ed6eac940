/* Random sizes with mixed lifetimes, each thread on its own. Three tables of
 * blocks: what falls into the small one dies soon, into the large one late. */
#include "pattern.h"
#include <pthread.h>

#define STEPS 7500000
#define SOON 64
#define LATER 2048
#define LATE 16384

struct slot {
	unsigned char *block;
	size_t size;
};

struct job {
	uint64_t steps, seed, sum;
};

/* Mostly tens of bytes, seldom kilobytes, as programs have it. */
static size_t some_size(uint64_t *seed)
{
	unsigned kind = draw(seed) % 100;
	if (kind < 60)
		return between(seed, 8, 64);
	if (kind < 90)
		return between(seed, 65, 512);
	if (kind < 99)
		return between(seed, 513, 4096);
	return between(seed, 4097, 32768);
}

static void *work(void *argument)
{
	struct job *job = argument;
	uint64_t seed = job->seed, total = 0;
	struct slot *slots = must(calloc(SOON + LATER + LATE, sizeof *slots));
	for (uint64_t step = 0; step < job->steps; step++) {
		unsigned kind = draw(&seed) % 8;
		size_t at = kind < 5 ? between(&seed, 0, SOON - 1)
			  : kind < 7 ? between(&seed, SOON, SOON + LATER - 1)
				     : between(&seed, SOON + LATER, SOON + LATER + LATE - 1);
		struct slot *slot = &slots[at];
		if (slot->block)
			total += sum(slot->block, slot->size);
		free(slot->block);
		slot->size = some_size(&seed);
		slot->block = filled(slot->size, (unsigned)step);
	}
	for (size_t at = 0; at < SOON + LATER + LATE; at++)
		free(slots[at].block);
	free(slots);
	job->sum = total;
	operations += job->steps;
	return NULL;
}

uint64_t random_sizes(struct amount amount)
{
	/* Every thread does the same amount: with more of them there is more work. */
	unsigned threads = amount.threads ? amount.threads : 1;
	struct job *jobs = must(calloc(threads, sizeof *jobs));
	pthread_t *ids = must(calloc(threads, sizeof *ids));
	uint64_t total = 0;
	for (unsigned i = 0; i < threads; i++)
		jobs[i] = (struct job){ .steps = scaled(STEPS, amount), .seed = i + 42 };
	for (unsigned i = 1; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, &jobs[i]))
			exit(2);
	work(&jobs[0]);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(ids[i], NULL);
	for (unsigned i = 0; i < threads; i++)
		total += jobs[i].sum;
	free(ids);
	free(jobs);
	return total;
}
