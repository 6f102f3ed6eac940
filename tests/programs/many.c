/*
 * Thousands of timers at once: many PENDING FIRED. The first are armed for an
 * hour and deleted; the others expire, are waited for, and deleted.
 */
#include "gates.h"

static sem_t done;

static void handler(union sigval value)
{
	*(pid_t *)value.sival_ptr = thread_id();
	gate_open(&done);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int pending = atoi(argv[1]), fired = atoi(argv[2]);
	timer_t *timers = calloc(pending + fired, sizeof *timers);
	pid_t *tids = calloc(pending + fired, sizeof *tids);

	gate_init(&done);
	for (int i = 0; i < pending + fired; i++)
		timers[i] = new_timer(handler, &tids[i]);
	for (int i = 0; i < pending + fired; i++)
		arm(timers[i], i < pending ? HOUR_MS : 0);
	for (int i = 0; i < fired; i++)
		gate_pass(&done);
	for (int i = pending; i < pending + fired; i++)
		wait_thread_gone(tids[i]);
	for (int i = 0; i < pending + fired; i++)
		timer_delete(timers[i]);
	free(tids);
	free(timers);
	return 0;
}
