/*
 * How a timer's signal handler may end, and what may come over it. Each round ends
 * one handler in a way of its own; then the timer is deleted by another thread, and
 * no handler runs on it any more. Prints the same plain and watched.
 */
#include "signal_timer.h"
#include <setjmp.h>
#include <ucontext.h>

enum way { RETURNS, JUMPS, JUMPS_INSIDE, EXITS, USED_UP, ON_ALTERNATE, JUMPS_FROM_ALTERNATE,
	   NESTED, JUMPS_FROM_NESTED, SWITCHES, WAYS };

#define OUTER (SIGRTMIN + 3)

static enum way way;
static sem_t done;
static sigjmp_buf env;
static ucontext_t away, handlers_context;
static char alternate[256 * 1024], other_stack[64 * 1024];
static volatile int inner_runs;

static void inner(int number, siginfo_t *info, void *context)
{
	sigjmp_buf inside;

	(void)number; (void)info; (void)context;
	inner_runs++;
	if (way == JUMPS || way == JUMPS_FROM_ALTERNATE || way == JUMPS_FROM_NESTED)
		siglongjmp(env, 1);
	if (way == JUMPS_INSIDE && !sigsetjmp(inside, 1))
		siglongjmp(inside, 1);
	if (way == EXITS)
		pthread_exit(NULL);
	if (way == SWITCHES)
		swapcontext(&handlers_context, &away);
}

static void outer(int number, siginfo_t *info, void *context)
{
	(void)number; (void)info; (void)context;
	/* The inner timer's signal comes in here. */
	if (!sigsetjmp(env, 1)) {
		change_mask(SIG_UNBLOCK, TIMER_SIGNAL);
		while (!inner_runs)
			sched_yield();
	}
}

static void on_other_stack(void)
{
	/* Back into the handler, which returns. */
	setcontext(&handlers_context);
}

static void *victim(void *timers)
{
	timer_t *timer = timers;
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };

	if (way == ON_ALTERNATE || way == JUMPS_FROM_ALTERNATE)
		sigaltstack(&stack, NULL);
	if (way == SWITCHES) {
		getcontext(&away);
		away.uc_stack.ss_sp = other_stack;
		away.uc_stack.ss_size = sizeof other_stack;
		makecontext(&away, on_other_stack, 0);
	}
	if (way == NESTED || way == JUMPS_FROM_NESTED) {
		arm(timer[0], 0);
		change_mask(SIG_UNBLOCK, OUTER);
		arm(timer[1], 0);
		while (!inner_runs)
			sched_yield();
		change_mask(SIG_BLOCK, OUTER);
	} else if (!sigsetjmp(env, 1)) {
		change_mask(SIG_UNBLOCK, TIMER_SIGNAL);
		arm(timer[0], 0);
		while (!inner_runs)
			sched_yield();
	}
	change_mask(SIG_BLOCK, TIMER_SIGNAL);
	gate_open(&done);
	gate_pass(&runner_may_end);
	return NULL;
}

int main(void)
{
	gate_init(&done);
	change_mask(SIG_BLOCK, TIMER_SIGNAL);
	change_mask(SIG_BLOCK, OUTER);
	for (way = 0; way < WAYS; way++) {
		int flags = SA_SIGINFO | (way == USED_UP ? SA_RESETHAND | SA_NODEFER : 0) |
			(way == ON_ALTERNATE || way == JUMPS_FROM_ALTERNATE ? SA_ONSTACK : 0);
		timer_t timers[2];
		pthread_t thread;

		inner_runs = 0;
		gate_init(&runner_may_end);
		set_handler(TIMER_SIGNAL, inner, flags);
		set_handler(OUTER, outer, SA_SIGINFO);
		timers[0] = new_signal_timer(TIMER_SIGNAL, NULL);
		timers[1] = new_signal_timer(OUTER, NULL);
		pthread_create(&thread, NULL, victim, timers);
		if (way == EXITS)
			pthread_join(thread, NULL);
		else
			gate_pass(&done);
		printf("way %d: %d run\n", way, inner_runs);
		timer_delete(timers[0]);
		timer_delete(timers[1]);
		gate_open(&runner_may_end);
		if (way != EXITS)
			pthread_join(thread, NULL);
	}
	return 0;
}
