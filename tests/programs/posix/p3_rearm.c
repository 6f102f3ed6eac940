/*
 * P3: the handler's last act arms its timer again; a disarm lands before that, and
 * the owner, who waited for the handler, frees the object with its timer armed.
 * BAD 2: the free comes in the handler's last instructions.
 * FIXED: the handler is told first not to arm it again. LOOKALIKE 1: a periodic
 * timer, deleted between two runs. 2: its owner arms it again, not the handler.
 */
#include "timers.h"

enum { AGAIN_MS = 200 };

struct poller {
	timer_t timer;
	atomic_int stopping;
	int values[16];
	int polls;
};

static sem_t armed, entered, go, done;

static HANDLER(handler)
{
	struct poller *poller = HANDLER_DATA;
	static atomic_int runs;
	int run = atomic_fetch_add(&runs, 1);

	handler_starts();
	if (run == 0) {
		gate_pass(&armed); /* poller->timer is written */
		poller->polls++;
		gate_open(&entered);
		gate_pass(&go);
#if !defined LOOKALIKE
		if (!atomic_load(&poller->stopping))
			start(poller->timer, AGAIN_MS);
#endif
	} else {
		poller->polls++;
	}
	gate_open(&done);
}

#if defined BAD && BAD == 2
/* Who opens a gate there is still in sem_post as the other goes on, nearly always. */
static void on_one_processor(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof one, &one))
		die("sched_setaffinity");
}
#endif

int main(void)
{
	struct poller *poller = calloc(1, sizeof *poller);
	timer_t timer;

#if defined BAD && BAD == 2
	on_one_processor();
#endif
	gate_init(&armed);
	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	timer = poller->timer = make_timer(handler, poller);
	gate_open(&armed);
#if defined LOOKALIKE && LOOKALIKE == 1
	start_each(timer, 1, HOUR_MS);
#else
	start(timer, 1);
#endif
	gate_pass(&entered);
#if defined BAD
	stop(timer);
	gate_open(&go);
	gate_pass(&done);
#if BAD == 1
	wait_handler_over();
#endif
	free(poller);
	gate_pass(&done); /* of the run that nobody reckons with */
	cancel(timer);
#elif defined FIXED
	atomic_store(&poller->stopping, 1);
	stop(timer);
	gate_open(&go);
	gate_pass(&done);
	cancel(timer);
	free(poller);
#elif LOOKALIKE == 1
	gate_open(&go);
	gate_pass(&done);
	cancel(timer);
	free(poller);
#else
	stop(timer);
	gate_open(&go);
	gate_pass(&done);
	start(timer, 1);
	gate_pass(&done);
	cancel(timer);
	free(poller);
#endif
	settle_all();
	return 0;
}
