/* A delete that lands, in functions with exported names: for symbols. */
#include "gates.h"

static sem_t entered, go, done;

__attribute__((noinline)) void exported_tick(union sigval value)
{
	(void)value;
	gate_open(&entered);
	gate_pass(&go);
	gate_open(&done);
}

__attribute__((noinline)) void exported_stop(timer_t timer)
{
	timer_delete(timer);
	gate_open(&go); /* not a tail call: the frame stays */
}

int main(void)
{
	timer_t timer;

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	timer = new_timer(exported_tick, NULL);
	arm(timer, 0);
	gate_pass(&entered);
	exported_stop(timer);
	gate_pass(&done);
	return 0;
}
