/* A server in the manner of Larson and Krishnan (1998): each thread replaces
 * random blocks of its array and touches few of their bytes, then ends and hands
 * the array over to a new thread, which frees what it did not allocate. The
 * arrays are larger than a processor's own cache. */
#include "pattern.h"
#include <pthread.h>

#define BLOCKS 6000
#define SMALLEST 8
#define LARGEST 1000
#define STEPS_PER_THREAD 60000
#define GENERATIONS 160

struct server {
	char *blocks[BLOCKS];
	uint64_t seed, sum;
};

static char *new_block(uint64_t *seed)
{
	char *block = must(malloc(between(seed, SMALLEST, LARGEST)));
	block[0] = 'a';
	block[1] = (char)*seed;
	return block;
}

static void *serve(void *argument)
{
	struct server *server = argument;
	for (unsigned step = 0; step < STEPS_PER_THREAD; step++) {
		char **block = &server->blocks[between(&server->seed, 0, BLOCKS - 1)];
		server->sum += (unsigned char)(*block)[1];
		free(*block);
		*block = new_block(&server->seed);
	}
	operations += STEPS_PER_THREAD;
	return NULL;
}

/* One line of servers: each thread takes over from the one before. */
static void *line(void *argument)
{
	struct server *server = argument;
	uint64_t generations = server->sum;
	server->sum = 0;
	for (unsigned i = 0; i < BLOCKS; i++)
		server->blocks[i] = new_block(&server->seed);
	for (uint64_t i = 0; i < generations; i++) {
		pthread_t id;
		if (pthread_create(&id, NULL, serve, server))
			exit(2);
		pthread_join(id, NULL);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		free(server->blocks[i]);
	return NULL;
}

uint64_t larson(struct amount amount)
{
	unsigned threads = amount.threads ? amount.threads : 2;
	struct server *servers = must(calloc(threads, sizeof *servers));
	pthread_t *ids = must(calloc(threads, sizeof *ids));
	uint64_t total = 0;
	for (unsigned i = 0; i < threads; i++) {
		servers[i].seed = i + 42;
		servers[i].sum = scaled(GENERATIONS, amount);
		if (pthread_create(&ids[i], NULL, line, &servers[i]))
			exit(2);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		total += servers[i].sum;
	}
	free(ids);
	free(servers);
	return total;
}
