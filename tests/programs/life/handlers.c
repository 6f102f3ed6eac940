/*
 * Handlers that make timers, arm them, and delete others' and their own.
 * handlers KIND
 */
#include "life.h"

enum { GENERATIONS = 30 };

/* Each in a block of its own, which nobody frees before the end. */
static struct timer *born[GENERATIONS];
static pid_t threads[GENERATIONS];
static atomic_int generation;
static sem_t last;

/* The next one is made, the one before this is deleted; each third its own. */
static void handler(void *data)
{
	int now = (int)(intptr_t)data;

	threads[now] = thread_id();
	if (kind == THREAD && now > 0)
		wait_thread_gone(threads[now - 1]);
	if (now % 3 == 0)
		unmake(born[now]);
	if (now > 0 && (now - 1) % 3 != 0)
		unmake(born[now - 1]);
	if (now + 1 == GENERATIONS) {
		gate_open(&last);
		return;
	}
	*born[now + 1] = make((void *)(intptr_t)(now + 1));
	generation++;
	arm_in(born[now + 1], 0);
}

int main(int argc, char **argv)
{
	life_begin(argc, argv);
	if (kind == ITIMER || kind == TIMERFD)
		return SKIPPED;
	gate_init(&last);
	for (int at = 0; at < GENERATIONS; at++)
		born[at] = calloc(1, sizeof **born);
	in_handler = handler;
	*born[0] = make(NULL);
	arm_in(born[0], 0);
	gate_pass(&last);
	for (int at = 0; at < GENERATIONS; at++)
		gate_pass(&expired);
	if (kind == THREAD)
		settle();
	if ((GENERATIONS - 1) % 3 != 0)
		unmake(born[GENERATIONS - 1]);
	for (int at = 0; at < GENERATIONS; at++)
		free(born[at]);
	printf("generations %d, left %d\n", generation, counts->created - counts->deleted);
	return life_end();
}
