/* A library with a timer's handler: loaded and unloaded by p12_unload.c. */
#include "p12_module.h"

struct module_gates *module_gates;
timer_t module_timer;
static int ticks;

HANDLER(module_tick)
{
	module_gates->tid = thread_id();
	gate_open(&module_gates->entered);
	gate_pass(&module_gates->go);
	ticks++;
	gate_open(&module_gates->done);
}

#if defined LOOKALIKE && LOOKALIKE == 3
__attribute__((destructor)) static void module_ends(void)
{
	cancel(module_timer);
}
#endif
