/*
 * A plugin whose handler is its own: armed by start(), deleted by stop().
 *
 * -DDESTRUCTOR deletes the timer as the plugin is unloaded, which is the legal
 * way for one that nobody stops.
 */
#include "gates.h"
#include "unload.h"

static timer_t timer;
static long seen = 1;

static void plugin_handler(union sigval value)
{
	struct shared *shared = value.sival_ptr;

	gate_open(&shared->entered);
	gate_pass(&shared->go);
	if (shared->own)
		dlclose(shared->own);
	/* Called here for the first time: the loader binds it now, or has before. */
	seen += labs((long)getpgrp()) > 0;
	gate_open(&shared->done);
}

void start(struct shared *shared, long ms)
{
	timer = new_timer(plugin_handler, shared);
	arm(timer, ms);
}

void stop(void)
{
	if (timer_delete(timer))
		die("timer_delete");
}

#ifdef DESTRUCTOR
static void __attribute__((destructor)) unloaded(void)
{
	stop();
}
#endif
