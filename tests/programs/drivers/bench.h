/*
 * What the drivers of this folder are tried on: a device whose ports are the
 * program's, and the order in which a driver's end comes while its handler runs.
 *
 * The first write to a port that a timer's handler makes is where it stays, until the
 * driver's end has returned; or, if that waits for the handler (a fixed driver, or a
 * policy under which deletes wait), until it is seen to wait. After the drivers'
 * variant FIXED nothing may be found.
 */
#ifndef BENCH_H
#define BENCH_H
#include "../../../examples/c/scenario.h"

extern void device_out(unsigned char value, unsigned long port);
#define outb(value, port) device_out(value, port)

static inline void bench_start(int argc, char **argv, int is_fixed)
{
	scenario_start(argc, argv, "");
	no_more_arguments();
	scenario.deletes_wait |= is_fixed;
}

static atomic_int device_is_held;

/* The handler is in the device from here on. */
static inline void bench_wait_for_handler(void)
{
	gate_pass(&entered_gate);
	before_delete();
}

static inline int bench_end(void)
{
	after_delete();
	handlers_return();
	return scenario_end();
}

static inline void bench_device_out(void)
{
	if (deadwalk_in_handler() && !atomic_exchange(&device_is_held, 1))
		enter_and_wait();
}
#endif
