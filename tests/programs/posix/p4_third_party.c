/*
 * P4: the delete is fine, then a worker arms the timer again before the free.
 * FIXED: the worker is stopped first. LOOKALIKE: it arms a different timer.
 */
#include "timers.h"

enum { RETRY_MS = 200 };

struct link {
	timer_t timer, other;
	int frames[16];
	int retries;
};

static sem_t disarmed, rearmed, done;

static HANDLER(handler)
{
	struct link *link = HANDLER_DATA;

	handler_starts();
	link->retries++;
	gate_open(&done);
}

#ifdef LOOKALIKE
static void other_handler(union sigval value)
{
	(void)value;
	handler_starts();
	gate_open(&done);
}
#endif

static void *worker(void *data)
{
	struct link *link = data;

	gate_pass(&disarmed);
#ifdef LOOKALIKE
	arm(link->other, 1);
#else
	start(link->timer, RETRY_MS);
#endif
	gate_open(&rearmed);
	return NULL;
}

int main(void)
{
	struct link *link = calloc(1, sizeof *link);
	pthread_t thread;
	timer_t timer;

	gate_init(&disarmed);
	gate_init(&rearmed);
	gate_init(&done);
	timer = link->timer = make_timer(handler, link);
#ifdef LOOKALIKE
	timer_t other = link->other = new_timer(other_handler, NULL);
#endif
	pthread_create(&thread, NULL, worker, link);
	start(timer, HOUR_MS);
#ifdef FIXED
	gate_open(&disarmed);
	pthread_join(thread, NULL);
	stop(timer);
	cancel(timer);
	free(link);
#else
	stop(timer);
	gate_open(&disarmed);
	gate_pass(&rearmed);
#ifdef BAD
	free(link);
	gate_pass(&done);
	cancel(timer);
	pthread_join(thread, NULL);
#else
	pthread_join(thread, NULL);
	cancel(timer);
	free(link);
	gate_pass(&done);
	timer_delete(other);
	settle();
#endif
#endif
	settle_all();
	return 0;
}
