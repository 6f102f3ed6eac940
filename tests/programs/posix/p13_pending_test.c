/*
 * P13: pending test, then act: the timer is deleted only if it is armed, and the
 * handler that runs is missed; then free.
 * FIXED: always delete, and wait. LOOKALIKE: the test is only printed.
 */
#include "timers.h"

struct session {
	int packets[16];
	int drops;
};

static sem_t entered, go, done;

static HANDLER(handler)
{
	struct session *session = HANDLER_DATA;

	handler_starts();
	gate_open(&entered);
	gate_pass(&go);
	session->drops++;
	gate_open(&done);
}

int main(void)
{
	struct session *session = calloc(1, sizeof *session);
	timer_t timer = make_timer(handler, session);

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	start(timer, 0);
	gate_pass(&entered);
#if defined BAD
	if (is_armed(timer)) {
		cancel(timer);
		gate_pass(&done);
	}
	free(session);
	gate_open(&go);
	gate_pass(&done);
#else
#ifdef LOOKALIKE
	printf("armed: %d\n", is_armed(timer));
#endif
	cancel(timer);
	gate_open(&go);
	gate_pass(&done);
	free(session);
#endif
	settle_all();
	return 0;
}
