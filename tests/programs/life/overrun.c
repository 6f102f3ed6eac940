/*
 * A periodic timer expires unheard for a while: one handler for all of them, and the
 * overruns are counted. overrun KIND
 */
#include "life.h"

enum { UNHEARD_MS = 20 };

static sem_t begun, go_on;

/* The first handler stays while the timer expires on. */
static void stay(void *data)
{
	static atomic_int is_second;

	(void)data;
	if (!atomic_exchange(&is_second, 1)) {
		gate_open(&begun);
		gate_pass(&go_on);
	}
}

int main(int argc, char **argv)
{
	struct timespec period = ms_of(1), unheard = ms_of(UNHEARD_MS);
	struct timer timer;
	uint64_t times;
	sigset_t set_of_one;

	life_begin(argc, argv);
	sigemptyset(&set_of_one);
	sigaddset(&set_of_one, timer_signal());
	gate_init(&begun);
	gate_init(&go_on);
	if (kind == THREAD)
		in_handler = stay;
	else
		sigprocmask(SIG_BLOCK, &set_of_one, NULL);
	timer = make(NULL);
	if (set(&timer, 0, period, period))
		die("set");
	if (kind == THREAD)
		gate_pass(&begun);
	nanosleep(&unheard, NULL);
	if (kind == THREAD) {
		/* Others have run beside the one that stays. */
		for (int at = 0; at < UNHEARD_MS / 2; at++)
			gate_pass(&expired);
		gate_open(&go_on);
		printf("overrun %d\n", timer_getoverrun(timer.id) >= 0);
		/* Never deleted: who knows how many expiries are on their way. */
		arm_in(&timer, HOUR_MS);
		return life_end();
	}
	if (kind == TIMERFD) {
		times = await(&timer);
		disarm(&timer);
		printf("overrun %d\n", times >= UNHEARD_MS / 2);
	} else {
		disarm(&timer);
		sigprocmask(SIG_UNBLOCK, &set_of_one, NULL);
		if (kind != ITIMER)
			printf("overrun %d\n", timer_getoverrun(timer.id) >= UNHEARD_MS / 2);
		printf("handled %d\n", counts->handled);
	}
	unmake(&timer);
	return life_end();
}
