/*
 * Threads that count under a spin lock: with short holds, with holds that make
 * the others sleep, and by trying.
 */
#include <errno.h>
#include <linux/spinlock.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 8, ROUNDS = 20000 };

static DEFINE_SPINLOCK(lock);
static volatile long counted, failed_tries;

static void hold_long(int round)
{
	struct timespec nap = { 0, 100 * 1000 };

	if (round % 1000 == 0)
		nanosleep(&nap, NULL);
	else if (round % 50 == 0)
		sched_yield();
}

static void *count(void *arg)
{
	int tries = *(int *)arg, round;
	unsigned long flags;

	for (round = 0; round < ROUNDS; round++) {
		errno = 1234;
		if (tries) {
			while (!spin_trylock(&lock)) {
				failed_tries = 1;
				sched_yield();
			}
			counted++;
			spin_unlock(&lock);
		} else {
			spin_lock_irqsave(&lock, flags);
			counted++;
			hold_long(round);
			if (!spin_is_locked(&lock))
				abort();
			spin_unlock_irqrestore(&lock, flags);
		}
		if (errno != 1234)
			abort();
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	int tries[THREADS], i;

	for (i = 0; i < THREADS; i++) {
		tries[i] = i % 4 == 3;
		if (pthread_create(&threads[i], NULL, count, &tries[i]))
			return 1;
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%s, open %d, owner %u\n", counted == (long)THREADS * ROUNDS ? "all" : "lost",
	       !spin_is_locked(&lock), lock.owner);
	spin_lock(&lock);
	printf("held %d, again %d\n", spin_is_locked(&lock), spin_trylock(&lock));
	spin_unlock(&lock);
	printf("free %d\n", spin_trylock(&lock));
	return 0;
}
