/*
 * The module 'deadlock' "forces a del_timer() deadlock to test the new deadlock
 * detection/avoidance code": main deletes the timer under a lock that the
 * handler takes. A delete that returns at once does not mind; one that waits for
 * the handler waits for ever, unless it gives up.
 */
#include "scenario.h"

static spinlock_t lock = SPIN_LOCK_UNLOCKED;
static atomic_int entered, is_locked, got_lock_late;

static void handler(unsigned long unused)
{
	(void)unused;
	atomic_store(&entered, 1);
	spin_lock(&lock);
	atomic_store(&got_lock_late, !atomic_load(&is_locked));
	spin_unlock(&lock);
	stay_until_go();
}

int main(int argc, char **argv)
{
	static struct timer_list timer;
	int deleted;

	scenario_start(argc, argv, "");
	no_more_arguments();
	setup_timer(&timer, handler, 0);

	spin_lock_bh(&lock);
	atomic_store(&is_locked, 1);
	mod_timer(&timer, jiffies + 1);
	spin_until(&entered, 1);
	deleted = del_timer(&timer);
	atomic_store(&is_locked, 0);
	spin_unlock_bh(&lock);
	gate_open(&go_gate);
	handlers_return();

	saw(deleted == 0, "del_timer returned %d", deleted);
	saw(atomic_load(&got_lock_late), "the handler got the lock %s",
	    atomic_load(&got_lock_late) ? "after main" : "too early");
	return scenario_end();
}
