/*
 * Handlers on as little stack as there may be: PTHREAD_STACK_MIN for a thread's, an
 * alternate stack of a signal's least size and little more. They use the heap and
 * arm timers. stacks KIND
 */
#include "life.h"
#include <limits.h>

enum { TIMES = 20, ALTERNATE = 8192, SPARE = 2048 };

static struct timer other;

static void use(void *data)
{
	(void)data;
	arm_in(&other, HOUR_MS);
	disarm(&other);
	if (kind == THREAD)
		free(malloc(100));
}

int main(int argc, char **argv)
{
	pthread_attr_t small;
	size_t size = 0;
	long least = sysconf(_SC_MINSIGSTKSZ) + SPARE;
	stack_t alternate = { .ss_size = least > ALTERNATE ? least : ALTERNATE };

	life_begin(argc, argv);
	pthread_attr_init(&small);
	if (pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN))
		die("pthread_attr_setstacksize");
	pthread_attr_getstacksize(&small, &size);
	attributes = &small;
	alternate.ss_sp = malloc(alternate.ss_size);
	if (sigaltstack(&alternate, NULL))
		die("sigaltstack");
	handle_signals(SA_ONSTACK);
	if (kind != ITIMER)
		other = make(NULL);
	for (int at = 0; at < TIMES; at++) {
		struct timer timer = make(NULL);

		if (kind != ITIMER)
			in_handler = use;
		arm_in(&timer, 0);
		await(&timer);
		unmake(&timer);
	}
	in_handler = NULL;
	if (kind != ITIMER)
		unmake(&other);
	printf("stack %d, handled %d\n", size == (size_t)PTHREAD_STACK_MIN, counts->handled);
	return life_end();
}
