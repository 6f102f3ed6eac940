/*
 * P6 as far as POSIX has it: the handler frees what is its own. POSIX
 * keeps the timer's storage in libc, so there is no bad twin, only look-alikes.
 * LOOKALIKE 1: the handler deletes its timer and frees its data.
 * 2: the handler frees its data, the main thread deletes when it has ended.
 */
#include "timers.h"

struct node {
	timer_t timer;
	int payload[8];
};

static sem_t armed, done;

static HANDLER(handler)
{
	struct node *node = HANDLER_DATA;

	handler_starts();
	gate_pass(&armed); /* node->timer is written */
#if LOOKALIKE == 1
	cancel(node->timer);
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
	timer = make_timer(handler, node);
	node->timer = timer;
	start(timer, 0);
	gate_open(&armed);
	gate_pass(&done);
#if LOOKALIKE == 2
	cancel(timer);
#endif
	settle_all();
	return 0;
}
