/*
 * A handler of SIGEV_THREAD, which runs with all signals blocked, reads behind a large
 * block, and goes on.
 */
#include "gates.h"

enum { SIZE = 1 << 20 };

static sem_t done;
static int blocked;

static void handler(union sigval value)
{
	volatile char *block = value.sival_ptr;
	sigset_t mask;

	handler_starts();
	(void)block[SIZE];
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	blocked = sigismember(&mask, SIGSEGV);
	gate_open(&done);
}

int main(void)
{
	char *block = malloc(SIZE);
	timer_t timer = new_timer(handler, block);

	gate_init(&done);
	arm(timer, 0);
	gate_pass(&done);
	settle();
	timer_delete(timer);
	free(block);
	printf("blocked %d\n", blocked);
	return 0;
}
