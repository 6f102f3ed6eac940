/*
 * P5: free while pending: an error path frees the object with its timer armed.
 * BAD 1: the timer expires, the handler leaves its data alone. BAD 2: it writes.
 * FIXED: delete first. LOOKALIKE 1: a neighbour block is freed. 2: the thread
 * that frees disarms the timer right after. 3: as 2, by a delete. 4: the process
 * ends before the timer expires.
 */
#include "timers.h"

static sem_t done;

static HANDLER(handler)
{
	int *data = HANDLER_DATA;

	handler_starts();
#if defined BAD && BAD == 1
	(void)data;
#else
	data[5] = 42;
#endif
	gate_open(&done);
}

int main(void)
{
	int *data = malloc(96), *neighbour = malloc(96);
	timer_t timer = make_timer(handler, data);

	gate_init(&done);
#if defined BAD
	start(timer, 300);
	free(data);
	gate_pass(&done);
#elif defined FIXED
	start(timer, HOUR_MS);
	cancel(timer);
	free(data);
#elif LOOKALIKE == 1
	start(timer, 0);
	free(neighbour);
	gate_pass(&done);
	cancel(timer);
	free(data);
	settle_all();
	return 0;
#elif LOOKALIKE == 2
	start(timer, HOUR_MS);
	free(data);
	stop(timer);
	cancel(timer);
#elif LOOKALIKE == 3
	start(timer, HOUR_MS);
	free(data);
	cancel(timer);
#else
	start(timer, HOUR_MS);
	free(data);
#endif
	free(neighbour);
	settle_all();
	return 0;
}
