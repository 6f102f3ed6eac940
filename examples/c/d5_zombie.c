/*
 * D5, the worst and the most likely: the handler arms its timer again after the
 * delete, and main frees the storage. "The timer is still ticking over and will
 * continue to do so, but its controlling timer_list is now in kfree'ed memory.
 * The kernel is a dead man walking."
 *
 *     a  main frees first, then the handler arms the timer in freed storage
 *     b  the handler arms it again first, then main frees the pending timer
 */
#include "scenario.h"

struct device {
	int registers[16];
	struct timer_list timer;
};

static int is_freed_first;
static atomic_int runs, rearmed, mod_returned = -1;
static atomic_ulong rearm_expires;

static void handler(unsigned long data)
{
	struct device *device = (void *)data;
	unsigned long expires;

	atomic_fetch_add(&runs, 1);
	enter_and_wait();
	/* Long enough for main to free the device, short enough to wait for. */
	expires = jiffies + HZ;
	atomic_store(&rearm_expires, expires);
	atomic_store(&mod_returned, mod_timer(&device->timer, expires));
	atomic_store(&rearmed, 1);
}

/* Waits until the zombie would have walked. */
static void wait_for_expiry(void)
{
	while (time_before_eq(jiffies, atomic_load(&rearm_expires)))
		nap_ms(1);
	handlers_return();
}

int main(int argc, char **argv)
{
	struct device *device = kmalloc(sizeof *device, GFP_KERNEL);
	const char *variant;
	int deleted;

	scenario_start(argc, argv, "a|b");
	variant = next_argument();
	no_more_arguments();
	if (!variant || (strcmp(variant, "a") && strcmp(variant, "b")))
		usage();
	is_freed_first = *variant == 'a';
	setup_timer(&device->timer, handler, (unsigned long)device);
	mod_timer(&device->timer, jiffies + 1);
	gate_pass(&entered_gate);

	before_delete();
	deleted = del_timer(&device->timer);
	if (is_freed_first) {
		kfree(device);
		after_delete();
	} else {
		after_delete();
		spin_until(&rearmed, 1);
		handlers_return();
		kfree(device);
	}
	spin_until(&rearmed, 1);
	wait_for_expiry();

	saw(deleted == scenario.deletes_wait, "del_timer returned %d", deleted);
	saw(atomic_load(&mod_returned) == 0, "the handler's mod_timer returned %d",
	    atomic_load(&mod_returned));
	saw(atomic_load(&runs) == 1, "runs of the handler: %d", atomic_load(&runs));
	return scenario_end();
}
