/*
 * P15: the handler overlaps itself: its interval is shorter than its run time. A
 * signal's does where two threads take the signal, or with SA_NODEFER.
 * FIXED: one-shot, armed again at the end. LOOKALIKE: a lock serialises what they
 * do; a signal's runs are one after another in the one thread that takes it.
 */
#include "timers.h"

enum { RUNS = 3, INTERVAL_MS = 100 };

static sem_t overlapped, done;
static atomic_int runs;
static timer_t timer;
#if defined LOOKALIKE && defined API_THREAD
static pthread_mutex_t serial = PTHREAD_MUTEX_INITIALIZER;
#endif

static HANDLER(handler)
{
	int run = atomic_fetch_add(&runs, 1);

	handler_starts();
#if defined FIXED
	if (run + 1 < RUNS)
		start(timer, 1);
	else
		gate_open(&done);
#elif defined LOOKALIKE && !defined API_THREAD
	struct timespec longer = { .tv_nsec = 2 * INTERVAL_MS * NS_PER_MS };

	if (run == 0)
		nanosleep(&longer, NULL);
	if (run < 2)
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

#if defined BAD && !defined API_THREAD
/* What lets a signal's handler run twice at a time. */
static void let_overlap(void)
{
	int signo = receivers[0].signo;

#ifdef API_THREAD_ID
	set_handler(signo, handler, SA_RESTART | SA_NODEFER);
#else
	new_receiver(signo);
#endif
}
#endif

int main(void)
{
	gate_init(&overlapped);
	gate_init(&done);
	timer = make_timer(handler, NULL);
#if defined BAD && !defined API_THREAD
	let_overlap();
#endif
#ifdef FIXED
	start(timer, 1);
#else
	start_each(timer, 1, INTERVAL_MS);
	gate_pass(&done);
#endif
	gate_pass(&done);
	cancel(timer);
	settle_all();
	return 0;
}
