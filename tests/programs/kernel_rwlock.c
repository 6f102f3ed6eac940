/*
 * Threads that share a lock for reading, and count under it for writing: with short
 * holds, with holds that make the others sleep, and by trying.
 */
#include "gates.h"
#include <linux/spinlock.h>

enum { THREADS = 8, ROUNDS = 5000 };

static DEFINE_RWLOCK(lock);
static volatile long counted, twin;
static pthread_barrier_t inside;

static void hold_long(int round)
{
	struct timespec nap = { 0, 100 * 1000 };

	if (round % 500 == 0)
		nanosleep(&nap, NULL);
	else if (round % 50 == 0)
		sched_yield();
}

static void take_for_writing(int tries)
{
	if (!tries)
		write_lock(&lock);
	else
		while (!write_trylock(&lock))
			sched_yield();
}

static void *work(void *arg)
{
	int number = *(int *)arg;

	/* All are in at once, and some twice. */
	read_lock(&lock);
	pthread_barrier_wait(&inside);
	read_lock(&lock);
	read_unlock(&lock);
	pthread_barrier_wait(&inside);
	read_unlock(&lock);
	for (int round = 0; round < ROUNDS; round++) {
		errno = 1234;
		if (number % 2) {
			take_for_writing(number % 4 == 3);
			counted++;
			hold_long(round);
			twin++;
			write_unlock(&lock);
		} else {
			read_lock(&lock);
			if (counted != twin)
				abort();
			hold_long(round);
			read_unlock(&lock);
		}
		if (errno != 1234)
			abort();
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	int numbers[THREADS], known = 0;

	pthread_barrier_init(&inside, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		if (pthread_create(&threads[i], NULL, work, &numbers[i]))
			die("pthread_create");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 6; i++)
		known += lock.readers[i] != 0;
	printf("%s, open %d, owner %u, readers %d\n",
	       counted == THREADS / 2 * (long)ROUNDS ? "all" : "lost", !rwlock_is_locked(&lock),
	       lock.owner, known);
	return 0;
}
