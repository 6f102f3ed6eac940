/*
 * P1 with a signal handler: the delete does not wait for a handler that runs on
 * another thread, and the free comes under it. FIXED: the deleter waits for "done"
 * first. LOOKALIKE 1: it deletes under the running handler, waits, then frees.
 * 2: the handler interrupted the deleter, so it cannot run on. 3: the handler is
 * not told the timer's value (no SA_SIGINFO), so the block is not its data.
 * WAITS: for `del=sync`, the handler ends by itself; says whether it had ended when the
 * delete returned.
 */
#include "signal_timer.h"

static sem_t entered, go, done;
static volatile int sink;
#if defined LOOKALIKE && LOOKALIKE == 2
static timer_t own_timer;
static int *own_data;
#endif

static void handler(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
#if defined LOOKALIKE && LOOKALIKE == 2
	(void)info;
	timer_delete(own_timer);
	free(own_data);
	gate_open(&done);
#else
	gate_open(&entered);
#ifdef WAITS
	struct timespec nap = { .tv_nsec = 50 * NS_PER_MS };

	nanosleep(&nap, NULL);
#else
	gate_pass(&go);
#endif
#if !(defined LOOKALIKE && LOOKALIKE == 3)
	sink = *(int *)info->si_value.sival_ptr;
#else
	(void)info;
#endif
	gate_open(&done);
#endif
}

int main(void)
{
	int *data = calloc(16, sizeof *data);
	int flags = SA_SIGINFO;
	timer_t timer;

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
#if defined LOOKALIKE && LOOKALIKE == 3
	flags = 0;
#endif
	set_handler(TIMER_SIGNAL, handler, flags);
#if defined LOOKALIKE && LOOKALIKE == 2
	runner_thread = thread_id();
	own_data = data;
	timer = own_timer = new_signal_timer(TIMER_SIGNAL, data);
	arm(timer, 1);
	gate_pass(&done);
	return 0;
#endif
	start_runner(TIMER_SIGNAL);
	timer = new_signal_timer(TIMER_SIGNAL, data);
	arm(timer, 1);
	gate_pass(&entered);
#if defined BAD
	timer_delete(timer);
	free(data);
	gate_open(&go);
	gate_pass(&done);
#elif defined WAITS
	timer_delete(timer);
	printf("ended %d\n", sem_trywait(&done) == 0);
	free(data);
#elif defined FIXED
	gate_open(&go);
	gate_pass(&done);
	timer_delete(timer);
	free(data);
#elif LOOKALIKE == 1
	timer_delete(timer);
	gate_open(&go);
	gate_pass(&done);
	free(data);
#else
	free(data);
	gate_open(&go);
	gate_pass(&done);
	timer_delete(timer);
#endif
	end_runner();
	return 0;
}
