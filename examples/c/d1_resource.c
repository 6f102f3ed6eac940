/*
 * D1, "the handler is accessing a resource after it has been released": main
 * deletes the timer and frees what its handler uses, the handler goes on.
 */
#include "scenario.h"

struct resource {
	int registers[16];
};

enum { SOUND = 42 };

static atomic_int released, found_released, value;

static void handler(unsigned long data)
{
	volatile struct resource *resource = (void *)data;

	enter_and_wait();
	atomic_store(&found_released, atomic_load(&released));
	atomic_store(&value, resource->registers[3]);
}

int main(int argc, char **argv)
{
	static struct timer_list timer;
	struct resource *resource = malloc(sizeof *resource);
	int deleted, is_sound;

	scenario_start(argc, argv, "");
	no_more_arguments();
	if (!resource)
		die("malloc");
	resource->registers[3] = SOUND;
	setup_timer(&timer, handler, (unsigned long)resource);
	mod_timer(&timer, jiffies + 1);
	gate_pass(&entered_gate);

	before_delete();
	deleted = del_timer(&timer);
	atomic_store(&released, 1);
	free(resource);
	after_delete();
	handlers_return();

	is_sound = atomic_load(&value) == SOUND;
	saw(deleted == 0, "del_timer returned %d", deleted);
	saw(atomic_load(&found_released) == !scenario.deletes_wait &&
		    is_sound == scenario.deletes_wait,
	    "the handler found the resource %s, its contents %s",
	    atomic_load(&found_released) ? "released" : "in use", is_sound ? "sound" : "gone");
	return scenario_end();
}
