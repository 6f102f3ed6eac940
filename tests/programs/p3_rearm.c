/*
 * P3: a handler's last act arms its own timer; main disarms the timer before that,
 * while the handler runs, and takes it for stopped.
 * BAD 1: the data is freed while the timer is armed again. 2: it expires again.
 * 3: the process ends first.
 * FIXED: the handler looks at a flag before it arms the timer, under a lock.
 * LOOKALIKE 1: main waits for the handler and then deletes the timer. 2: ... and arms
 * it anew itself. 3: a periodic timer is disarmed between two runs. 4: the handler
 * takes its arming back.
 */
#include "gates.h"

static sem_t entered, disarmed, done, again;
static timer_t timer;
#ifdef FIXED
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int stopped;
#endif
static int turn;

static void disarm(void)
{
	struct itimerspec never = { 0 };

	if (timer_settime(timer, 0, &never, NULL))
		die("timer_settime");
}

static void rearm(void)
{
#if defined BAD && BAD == 2
	arm(timer, 1);
#else
	arm(timer, HOUR_MS);
#endif
#if defined LOOKALIKE && LOOKALIKE == 4
	disarm();
#endif
}

static void handler(union sigval value)
{
	(void)value;
	if (turn++) {
		gate_open(&again);
		return;
	}
	handler_starts();
	gate_open(&entered);
#if !defined LOOKALIKE || LOOKALIKE != 3
	gate_pass(&disarmed);
#endif
#ifdef FIXED
	pthread_mutex_lock(&lock);
	if (!stopped)
		rearm();
	pthread_mutex_unlock(&lock);
#else
	rearm();
#endif
	gate_open(&done);
}

int main(void)
{
	void *data = malloc(64);

	gate_init(&entered);
	gate_init(&disarmed);
	gate_init(&done);
	gate_init(&again);
	timer = new_timer(handler, data);
	arm(timer, 0);
	gate_pass(&entered);
#if defined LOOKALIKE && LOOKALIKE == 3
	settle();
#endif
#ifdef FIXED
	pthread_mutex_lock(&lock);
	stopped = 1;
	pthread_mutex_unlock(&lock);
#endif
	disarm();
	gate_open(&disarmed);
	gate_pass(&done);
#if defined BAD
	settle();
#if BAD == 1
	free(data);
#elif BAD == 2
	gate_pass(&again);
#endif
#else
#if defined LOOKALIKE && LOOKALIKE == 2
	arm(timer, HOUR_MS);
#endif
	timer_delete(timer);
	settle();
	free(data);
#endif
	return 0;
}
