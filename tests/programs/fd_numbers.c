/* Prints the descriptors the program gets, with timers at work beside it. */
#include "gates.h"
#include <fcntl.h>
#include <sys/socket.h>

static sem_t entered, go, done;

static void handler(union sigval value)
{
	(void)value;
	gate_open(&entered);
	gate_pass(&go);
	gate_open(&done);
}

static void print_fds(const char *when)
{
	int pipes[2], sockets[2], file;

	if (pipe(pipes) || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		die("fds");
	file = open("/dev/null", O_RDONLY);
	printf("%s: file %d pipe %d %d sockets %d %d dup %d\n", when, file, pipes[0], pipes[1],
	       sockets[0], sockets[1], dup(0));
}

int main(void)
{
	timer_t timer;

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	print_fds("start");
	timer = new_timer(handler, NULL);
	arm(timer, 0);
	gate_pass(&entered);
	print_fds("handler running");
	timer_delete(timer);
	print_fds("deleted");
	gate_open(&go);
	gate_pass(&done);
	print_fds("done");
	closefrom(3);
	print_fds("closed all");
	return 0;
}
