/*
 * D2, "the handler is touching some device after it has been shut down": main
 * deletes the timer and switches the device off, the handler goes on and writes
 * to it. The device is a descriptor, off is closed.
 */
#include "scenario.h"

#include <fcntl.h>

static int device;
static atomic_int write_error = -1;

static void handler(unsigned long unused)
{
	(void)unused;
	enter_and_wait();
	atomic_store(&write_error, write(device, "", 1) == 1 ? 0 : errno);
}

int main(int argc, char **argv)
{
	static struct timer_list timer;
	int deleted, error;

	scenario_start(argc, argv, "");
	no_more_arguments();
	device = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (device < 0)
		die("/dev/null");
	setup_timer(&timer, handler, 0);
	mod_timer(&timer, jiffies + 1);
	gate_pass(&entered_gate);

	before_delete();
	deleted = del_timer(&timer);
	close(device);
	after_delete();
	handlers_return();

	error = atomic_load(&write_error);
	saw(deleted == 0, "del_timer returned %d", deleted);
	saw(error == (scenario.deletes_wait ? 0 : EBADF), "the handler found the device %s",
	    error ? "off" : "on");
	return scenario_end();
}
