/*
 * P5: free while pending: an error path frees the object with its timer armed.
 * BAD 1: the timer expires, the handler leaves its data alone. BAD 2: it writes.
 * FIXED: delete first. LOOKALIKE 1: a neighbour block is freed. 2: the thread
 * that frees disarms the timer right after. 3: as 2, by a delete. 4: the process
 * ends before the timer expires.
 */
#include "gates.h"

static sem_t done;

static void handler(union sigval value)
{
	int *data = value.sival_ptr;

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
	timer_t timer = new_timer(handler, data);

	gate_init(&done);
#if defined BAD
	arm(timer, 300);
	free(data);
	gate_pass(&done);
#elif defined FIXED
	arm(timer, HOUR_MS);
	timer_delete(timer);
	free(data);
#elif LOOKALIKE == 1
	arm(timer, 0);
	free(neighbour);
	gate_pass(&done);
	timer_delete(timer);
	free(data);
	settle();
	return 0;
#elif LOOKALIKE == 2
	arm(timer, HOUR_MS);
	free(data);
	struct itimerspec never = { 0 };
	timer_settime(timer, 0, &never, NULL);
	timer_delete(timer);
#elif LOOKALIKE == 3
	arm(timer, HOUR_MS);
	free(data);
	timer_delete(timer);
#else
	arm(timer, HOUR_MS);
	free(data);
#endif
	free(neighbour);
	settle();
	return 0;
}
