/*
 * Sets RLIMIT_AS at run time. What fits goes on working, threads and timers
 * included; what does not gets NULL and ENOMEM.
 */
#include "gates.h"
#include <sys/resource.h>

#define GIB (1UL << 30)

struct block {
	struct block *next;
};

static sem_t done;

static void handler(union sigval value)
{
	(void)value;
	gate_open(&done);
}

static void *thread(void *block)
{
	return memset(block, 1, 1 << 20);
}

int main(void)
{
	struct rlimit limit = { 2 * GIB, 2 * GIB };
	void *volatile small = malloc(100);
	pthread_t threads[8];
	timer_t timer;
	int failed = 0;

	gate_init(&done);
	if (setrlimit(RLIMIT_AS, &limit))
		die("setrlimit");
	for (int i = 0; i < 8; i++)
		failed += pthread_create(&threads[i], NULL, thread, malloc(1 << 20)) != 0;
	for (int i = 0; i < 8 - failed; i++)
		pthread_join(threads[i], NULL);
	printf("threads failed: %d\n", failed);
	errno = 0;
	void *volatile huge = malloc(3 * GIB);
	printf("huge: %s, %s\n", huge ? "given" : "NULL", strerror(errno));
	struct block *blocks = NULL, *block;
	size_t given = 0;
	while (given < 4 * GIB && (block = malloc(1 << 20))) {
		block->next = blocks;
		blocks = block;
		given += 1 << 20;
	}
	printf("limit honoured: %d\n", given <= 2 * GIB);
	while ((block = blocks)) {
		blocks = block->next;
		free(block);
	}
	free(small);
	if (given < GIB / 2)
		printf("only %zu MiB given\n", given >> 20);
	timer = new_timer(handler, NULL);
	arm(timer, 0);
	gate_pass(&done);
	timer_delete(timer);
	printf("timer ran\n");
	return 0;
}
