/*
 * P6 as far as SIGEV_THREAD has it: the handler frees what is its own. POSIX
 * keeps the timer's storage in libc, so there is no bad twin, only look-alikes.
 * LOOKALIKE 1: the handler deletes its timer and frees its data.
 * 2: the handler frees its data, the main thread deletes when it has ended.
 */
#include "gates.h"

struct node {
	timer_t timer;
	int payload[8];
};

static sem_t armed, done;

static void handler(union sigval value)
{
	struct node *node = value.sival_ptr;

	handler_starts();
	gate_pass(&armed); /* node->timer is written */
#if LOOKALIKE == 1
	timer_delete(node->timer);
#endif
	free(node);
	gate_open(&done);
}

int main(void)
{
	struct node *node = calloc(1, sizeof *node);
	timer_t timer;

	gate_init(&armed);
	gate_init(&done);
	timer = new_timer(handler, node);
	node->timer = timer;
	arm(timer, 0);
	gate_open(&armed);
	gate_pass(&done);
#if LOOKALIKE == 2
	timer_delete(timer);
#endif
	settle();
	return 0;
}
