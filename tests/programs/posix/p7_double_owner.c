/*
 * P7: double owner: teardown deletes and frees each node, the handler frees its
 * node too. BAD 1: teardown frees first. BAD 2: the handler frees first. BAD 3:
 * its thread has ended as well when teardown frees. BAD 4: as 1, while the handler
 * computes.
 * FIXED: whoever takes the node frees it. LOOKALIKE: two threads disarm, one frees.
 */
#include "timers.h"

struct node {
	timer_t timer;
	atomic_int taken;
	int payload[8];
};

static sem_t entered, go, done;
#if defined BAD && BAD == 4
static volatile int is_freed;
#endif

static HANDLER(handler)
{
#ifndef LOOKALIKE
	struct node *node = HANDLER_DATA;
#endif
#ifdef FIXED
	int mine = !atomic_exchange(&node->taken, 1);
#endif
	handler_starts();
	chance_open(&entered);
#if defined BAD && BAD == 4
	while (!is_freed)
		;
#else
	chance_pass(&go);
#endif
#if defined FIXED
	if (mine)
		free(node);
#elif defined BAD
	free(node);
#endif
	gate_open(&done);
}

#ifdef LOOKALIKE
static void *second_deleter(void *data)
{
	stop(((struct node *)data)->timer);
	return NULL;
}
#endif

int main(void)
{
	struct node *node = calloc(1, sizeof *node);

	chance_init(&entered);
	chance_init(&go);
	gate_init(&done);
	node->timer = make_timer(handler, node);
#ifdef LOOKALIKE
	pthread_t other;

	start(node->timer, HOUR_MS);
	pthread_create(&other, NULL, second_deleter, node);
	stop(node->timer);
	pthread_join(other, NULL);
	cancel(node->timer);
	free(node);
#else
	start(node->timer, 0);
#if defined BAD && BAD == 4
	chance_pass(&entered);
#else
	chance_pass_asleep(&entered);
#endif
	stop(node->timer);
	cancel(node->timer);
#if defined BAD && BAD == 1
	free(node);
	chance_open(&go);
	gate_pass(&done);
#elif defined BAD && BAD == 4
	free(node);
	is_freed = 1;
	gate_pass(&done);
#elif defined BAD
	chance_open(&go);
	gate_pass(&done);
#if BAD == 3
	settle_all();
#endif
	free(node);
#else
	if (!atomic_exchange(&node->taken, 1))
		free(node);
	chance_open(&go);
	gate_pass(&done);
#endif
#endif
	settle_all();
	return 0;
}
