/*
 * A handler may end without returning: leave_early (exit|cancel|return) ROUNDS
 * Each run has ended, thread and all, before its timer is deleted.
 */
#include "gates.h"

static sem_t entered, never;
static pthread_t thread;
static pid_t tid;
static const char *how;

static void handler(union sigval value)
{
	(void)value;
	thread = pthread_self();
	tid = thread_id();
	if (!strcmp(how, "cancel")) {
		gate_open(&entered);
		gate_pass(&never); /* a cancellation point */
	}
	gate_open(&entered);
	if (!strcmp(how, "exit"))
		pthread_exit(NULL);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	how = argv[1];
	gate_init(&entered);
	gate_init(&never);
	for (int i = atoi(argv[2]); i > 0; i--) {
		timer_t timer = new_timer(handler, NULL);

		arm(timer, 0);
		gate_pass(&entered);
		if (!strcmp(how, "cancel"))
			pthread_cancel(thread);
		wait_thread_gone(tid);
		timer_delete(timer);
	}
	return 0;
}
