/* Many threads that live shortly and allocate little: a handful of blocks each,
 * some of which the starter frees. */
#include "pattern.h"
#include <pthread.h>

#define THREADS 50000
#define AT_ONCE 4
#define BLOCKS 40
#define STACK (64 << 10)

struct answer {
	uint64_t sum;
	unsigned char text[200];
};

static void *work(void *argument)
{
	uint64_t seed = (uintptr_t)argument + 1, total = 0;
	unsigned char *blocks[BLOCKS];
	size_t sizes[BLOCKS];
	for (unsigned i = 0; i < BLOCKS; i++) {
		sizes[i] = between(&seed, 8, 300);
		blocks[i] = filled(sizes[i], i);
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		total += sum(blocks[i], sizes[i]);
		free(blocks[i]);
	}
	operations += BLOCKS + 1;
	struct answer *answer = filled(sizeof *answer, 7);
	answer->sum = total;
	return answer;
}

uint64_t short_threads(struct amount amount)
{
	uint64_t total = 0, threads = scaled(THREADS, amount);
	pthread_t ids[AT_ONCE];
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK);
	for (uint64_t n = 0; n < threads + AT_ONCE; n++) {
		pthread_t *id = &ids[n % AT_ONCE];
		if (n >= AT_ONCE) {
			void *answer;
			pthread_join(*id, &answer);
			total += ((struct answer *)answer)->sum;
			free(answer);
		}
		if (n < threads && pthread_create(id, &small, work, (void *)(uintptr_t)n))
			exit(2);
		if (n >= threads + AT_ONCE - 1)
			break;
	}
	pthread_attr_destroy(&small);
	return total;
}
