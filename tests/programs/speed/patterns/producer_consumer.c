/* Messages allocated by one thread and freed by another, through a bounded queue
 * of batches. */
#include "pattern.h"
#include <pthread.h>

#define BATCH 64
#define QUEUE 64
#define BATCHES 160000

struct message {
	size_t size;
	unsigned char text[];
};

struct batch {
	struct message *messages[BATCH];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t not_empty, not_full;
	struct batch ring[QUEUE];
	uint64_t in, out;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER,
	    .not_empty = PTHREAD_COND_INITIALIZER,
	    .not_full = PTHREAD_COND_INITIALIZER };

static void *produce(void *argument)
{
	uint64_t seed = 42, batches = *(uint64_t *)argument;
	for (uint64_t n = 0; n < batches; n++) {
		struct batch batch;
		for (unsigned i = 0; i < BATCH; i++) {
			size_t size = between(&seed, 16, 400);
			struct message *message = must(malloc(sizeof *message + size));
			message->size = size;
			memset(message->text, (int)n, size);
			batch.messages[i] = message;
		}
		pthread_mutex_lock(&queue.lock);
		while (queue.in - queue.out == QUEUE)
			pthread_cond_wait(&queue.not_full, &queue.lock);
		queue.ring[queue.in++ % QUEUE] = batch;
		/* The other one sleeps only if it found nothing. */
		if (queue.in - queue.out == QUEUE / 2)
			pthread_cond_signal(&queue.not_empty);
		pthread_mutex_unlock(&queue.lock);
	}
	pthread_mutex_lock(&queue.lock);
	queue.in |= (uint64_t)1 << 63;
	pthread_cond_signal(&queue.not_empty);
	pthread_mutex_unlock(&queue.lock);
	return NULL;
}

/* Takes the next batch; 0 at the end. */
static int take(struct batch *batch)
{
	const uint64_t ended = (uint64_t)1 << 63;
	pthread_mutex_lock(&queue.lock);
	while ((queue.in & ~ended) == queue.out && !(queue.in & ended))
		pthread_cond_wait(&queue.not_empty, &queue.lock);
	int some = (queue.in & ~ended) != queue.out;
	if (some) {
		*batch = queue.ring[queue.out++ % QUEUE];
		if ((queue.in & ~ended) - queue.out == QUEUE / 2)
			pthread_cond_signal(&queue.not_full);
	}
	pthread_mutex_unlock(&queue.lock);
	return some;
}

uint64_t producer_consumer(struct amount amount)
{
	uint64_t total = 0, batches = scaled(BATCHES, amount);
	struct batch batch;
	pthread_t producer;
	if (pthread_create(&producer, NULL, produce, &batches))
		exit(2);
	while (take(&batch)) {
		for (unsigned i = 0; i < BATCH; i++) {
			struct message *message = batch.messages[i];
			total += sum(message->text, message->size);
			free(message);
		}
		operations += BATCH;
	}
	pthread_join(producer, NULL);
	return total;
}
