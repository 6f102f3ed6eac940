/*
 * P2: asynchronous delete, then release of something that is no heap: the
 * handler writes to a descriptor that was closed under it.
 * FIXED: wait first. LOOKALIKE: another descriptor is closed.
 */
#include "gates.h"
#include <fcntl.h>

static sem_t entered, go, done;
static int device, other;

static void handler(union sigval value)
{
	(void)value;
	handler_starts();
	gate_open(&entered);
	gate_pass(&go);
	if (write(device, "x", 1) != 1)
		perror("p2: write in the handler"); /* what the race costs */
	gate_open(&done);
}

int main(void)
{
	timer_t timer = new_timer(handler, NULL);

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	device = open("/dev/null", O_WRONLY);
	other = open("/dev/null", O_WRONLY);
	arm(timer, 0);
	gate_pass(&entered);
#ifdef FIXED
	gate_open(&go);
	gate_pass(&done);
	timer_delete(timer);
	close(device);
#else
	timer_delete(timer);
#ifdef BAD
	close(device);
#else
	close(other);
#endif
	gate_open(&go);
	gate_pass(&done);
#endif
	settle();
	return 0;
}
