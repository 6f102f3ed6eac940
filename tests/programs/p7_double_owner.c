/*
 * P7: double owner: teardown deletes and frees each node, the handler frees its
 * node too. BAD 1: teardown frees first. BAD 2: the handler frees first. BAD 3:
 * its thread has ended as well when teardown frees.
 * FIXED: whoever takes the node frees it. LOOKALIKE: two threads disarm, one frees.
 */
#include "gates.h"

struct node {
	timer_t timer;
	atomic_int taken;
	int payload[8];
};

static sem_t entered, go, done;

static void handler(union sigval value)
{
#ifdef LOOKALIKE
	(void)value; /* never runs */
#else
	struct node *node = value.sival_ptr;
#endif
#ifdef FIXED
	int mine = !atomic_exchange(&node->taken, 1);
#endif
	handler_starts();
	gate_open(&entered);
	gate_pass(&go);
#if defined FIXED
	if (mine)
		free(node);
#elif defined BAD
	free(node);
#endif
	gate_open(&done);
}

static void disarm(timer_t timer)
{
	struct itimerspec never = { 0 };

	if (timer_settime(timer, 0, &never, NULL))
		die("timer_settime");
}

#ifdef LOOKALIKE
static void *second_deleter(void *data)
{
	disarm(((struct node *)data)->timer);
	return NULL;
}
#endif

int main(void)
{
	struct node *node = calloc(1, sizeof *node);

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	node->timer = new_timer(handler, node);
#ifdef LOOKALIKE
	pthread_t other;

	arm(node->timer, HOUR_MS);
	pthread_create(&other, NULL, second_deleter, node);
	disarm(node->timer);
	pthread_join(other, NULL);
	timer_delete(node->timer);
	free(node);
#else
	arm(node->timer, 0);
	gate_pass(&entered);
	disarm(node->timer);
	timer_delete(node->timer);
#if defined BAD && BAD == 1
	free(node);
	gate_open(&go);
	gate_pass(&done);
#elif defined BAD
	gate_open(&go);
	gate_pass(&done);
#if BAD == 3
	settle();
#endif
	free(node);
#else
	if (!atomic_exchange(&node->taken, 1))
		free(node);
	gate_open(&go);
	gate_pass(&done);
#endif
#endif
	settle();
	return 0;
}
