/*
 * Timers' handlers on an alternate stack with room for little more than the kernel's
 * frame: what they call must fit in there too. Below that is no memory.
 */
#include "gates.h"

#include <sys/mman.h>
#include <sys/time.h>

#define SPARE 4096
#define PAGE 4096
#define STACK (64 * 1024)

static char *stack;
static size_t frame;
static volatile sig_atomic_t calls;
static timer_t timer;

static void measure(int number)
{
	char here;

	(void)number;
	frame = (size_t)(stack + STACK - &here);
}

static void disarm(int number)
{
	struct itimerspec never = { 0 };

	(void)number;
	calls++;
	if (timer_settime(timer, 0, &never, NULL))
		abort();
}

static void stop_clock(int number)
{
	struct itimerval never = { 0 };

	(void)number;
	calls++;
	if (setitimer(ITIMER_REAL, &never, NULL))
		abort();
}

static void on_stack(int number, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

	if (sigaction(number, &action, NULL))
		die("sigaction");
}

int main(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec soon = { .it_value.tv_nsec = 100000 };
	struct itimerval as_soon = { .it_value.tv_usec = 100 };

	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED ||
	    sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = STACK }, NULL))
		die("an alternate stack");
	on_stack(SIGUSR2, measure);
	raise(SIGUSR2);
	if (mprotect(stack, (STACK - frame - SPARE) / PAGE * PAGE, PROT_NONE))
		die("mprotect");
	on_stack(SIGUSR1, disarm);
	on_stack(SIGALRM, stop_clock);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &soon, NULL))
		die("a timer");
	while (calls < 1)
		;
	if (setitimer(ITIMER_REAL, &as_soon, NULL))
		die("a clock");
	while (calls < 2)
		;
	return 0;
}
