/* A shared library with a timer of its own: loaded by plugin_host.c. */
#include "gates.h"

static sem_t entered, go, done;
static pid_t tid;

void plugin_tick(union sigval value)
{
	(void)value;
	tid = thread_id();
	gate_open(&entered);
	gate_pass(&go);
	gate_open(&done);
}

__attribute__((noinline)) static void plugin_stop(timer_t timer)
{
	timer_delete(timer);
	gate_open(&go);
}

/* One delete that lands; back when the handler's thread is gone. */
void plugin_run(void)
{
	timer_t timer;

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	timer = new_timer(plugin_tick, NULL);
	arm(timer, 0);
	gate_pass(&entered);
	plugin_stop(timer);
	gate_pass(&done);
	wait_thread_gone(tid);
}
