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
	session->packets[0]++;
	chance_open(&entered);
	chance_pass(&go);
	session->drops++;
	gate_open(&done);
}

int main(void)
{
	struct session *session = calloc(1, sizeof *session);
	timer_t timer;

	chance_init(&entered);
	chance_init(&go);
	gate_init(&done);
	timer = make_timer(handler, session);
	start(timer, 0);
	chance_pass_asleep(&entered);
#if defined BAD
	if (is_armed(timer)) {
		cancel(timer);
		gate_pass(&done);
	}
	free(session);
	chance_open(&go);
	gate_pass(&done);
#else
#ifdef LOOKALIKE
	printf("armed: %d\n", is_armed(timer));
#endif
	cancel(timer);
	chance_open(&go);
	gate_pass(&done);
	free(session);
#endif
	settle_all();
	return 0;
}
