/*
 * P15: the handler overlaps itself: its interval is shorter than its run time.
 * FIXED: one-shot, armed again at the end. LOOKALIKE: the runs overlap, but a
 * lock serialises what they do.
 */
#include "gates.h"

enum { RUNS = 3, INTERVAL_MS = 100 };

static sem_t overlapped, done;
static atomic_int runs;
static timer_t timer;
#ifdef LOOKALIKE
static pthread_mutex_t serial = PTHREAD_MUTEX_INITIALIZER;
#endif

static void handler(union sigval value)
{
	int run = atomic_fetch_add(&runs, 1);

	(void)value;
	handler_starts();
#ifdef FIXED
	if (run + 1 < RUNS)
		arm(timer, 1);
	else
		gate_open(&done);
#else
	if (run == 1)
		gate_open(&overlapped);
#ifdef LOOKALIKE
	pthread_mutex_lock(&serial);
#endif
	if (run == 0)
		gate_pass(&overlapped);
#ifdef LOOKALIKE
	pthread_mutex_unlock(&serial);
#endif
	if (run < 2)
		gate_open(&done);
#endif
}

int main(void)
{
	gate_init(&overlapped);
	gate_init(&done);
	timer = new_timer(handler, NULL);
#ifdef FIXED
	arm(timer, 1);
#else
	struct itimerspec each = {
		.it_value.tv_nsec = 1,
		.it_interval.tv_nsec = INTERVAL_MS * NS_PER_MS,
	};
	timer_settime(timer, 0, &each, NULL);
	gate_pass(&done);
#endif
	gate_pass(&done);
	timer_delete(timer);
	settle();
	return 0;
}
