/*
 * Makes ROUNDS deletes that land, says so, and waits to be killed:
 * killed ROUNDS [crash|abort|_exit]. Prints "pid P deletes N".
 */
#include "gates.h"

static sem_t entered, go, done;

static void handler(union sigval value)
{
	(void)value;
	gate_open(&entered);
	gate_pass(&go);
	gate_open(&done);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 10;
	const char *end = argc > 2 ? argv[2] : "";

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	for (int i = 0; i < rounds; i++) {
		timer_t timer = new_timer(handler, NULL);

		arm(timer, 0);
		gate_pass(&entered);
		timer_delete(timer);
		gate_open(&go);
		gate_pass(&done);
	}
	printf("pid %d deletes %d\n", getpid(), rounds);
	fflush(stdout);
	if (!strcmp(end, "crash"))
		raise(SIGSEGV);
	if (!strcmp(end, "abort"))
		abort();
	if (!strcmp(end, "_exit"))
		_exit(9);
	for (;;)
		pause();
}
