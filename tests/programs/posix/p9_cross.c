/*
 * P9: waiting deletes from the wrong context, under del=sync: A's handler waits
 * for B while B's waits for A.
 * FIXED: the handlers leave the deletes to the main thread. LOOKALIKE: each
 * handler deletes its own timer, which waits for nobody.
 */
#include "timers.h"

struct pair {
	timer_t own, partner;
	sem_t entered;
	struct pair *other;
};

static sem_t ready, done;

static HANDLER(handler)
{
	struct pair *pair = HANDLER_DATA;

	gate_pass(&ready); /* both pairs are complete */
	gate_open(&pair->entered);
	gate_pass(&pair->other->entered);
#if defined BAD
	cancel(pair->partner);
#elif defined LOOKALIKE
	cancel(pair->own);
#endif
	gate_open(&done);
}

int main(void)
{
	static struct pair a, b;

	gate_init(&ready);
	gate_init(&done);
	gate_init(&a.entered);
	gate_init(&b.entered);
	a.other = &b;
	b.other = &a;
	a.own = b.partner = make_timer(handler, &a);
	b.own = a.partner = make_timer(handler, &b);
	start(a.own, 1);
	start(b.own, 1);
	gate_open(&ready);
	gate_open(&ready);
	gate_pass(&done);
	gate_pass(&done);
#if defined FIXED
	cancel(a.own);
	cancel(b.own);
#endif
	end_receivers();
	return 0;
}
