/*
 * "Another common problem is deleting timers which restart themselves (by
 * calling add_timer() at the end of their timer function)" (Rusty Russell). The
 * timer is deleted at a random phase of its life, many times.
 *
 *     sync   with del_timer_sync(), which "returns the number of times the timer
 *            had to be deleted before we finally stopped it from adding itself
 *            back in"
 *     plain  with del_timer(), once, in the middle of the handler
 */
#include "scenario.h"

/* A delete comes somewhere in a tick, or in a run of the handler. */
enum { SEED = 2000, MAX_PHASE_US = 12000, HANDLER_US = 1000, PERIOD = 20 };

static struct timer_list timer;
static atomic_int in_handler, runs, arms, is_gated, rearmed;

static void handler(unsigned long unused)
{
	(void)unused;
	atomic_store(&in_handler, 1);
	atomic_fetch_add(&runs, 1);
	if (atomic_load(&is_gated))
		enter_and_wait();
	else
		usleep(HANDLER_US);
	timer.expires = jiffies + (atomic_load(&is_gated) ? HZ : PERIOD);
	add_timer(&timer);
	atomic_fetch_add(&arms, 1);
	atomic_store(&rearmed, 1);
	atomic_store(&in_handler, 0);
}

/* An arm that is no expiry must have been a detach, once nothing is pending. */
static void delete_at_random_phase(int rounds)
{
	int detaches = 0, alive = 0, is_sum;
	unsigned seed = SEED;

	for (int round = 0; round < rounds; round++) {
		mod_timer(&timer, jiffies + 1);
		atomic_fetch_add(&arms, 1);
		usleep((unsigned)rand_r(&seed) % MAX_PHASE_US);
		detaches += del_timer_sync(&timer);
		alive += timer_pending(&timer) || atomic_load(&in_handler);
	}
	saw(alive == 0, "the timer was alive after %d of %d deletes", alive, rounds);
	is_sum = detaches == atomic_load(&arms) - atomic_load(&runs);
	saw(is_sum, "the returns %s to the number of detaches", is_sum ? "add up" : "do not add up");
}

static void delete_plainly(void)
{
	int deleted, survives, late;

	atomic_store(&is_gated, 1);
	mod_timer(&timer, jiffies + 1);
	gate_pass(&entered_gate);
	before_delete();
	deleted = del_timer(&timer);
	after_delete();
	spin_until(&rearmed, 1);
	handlers_return();
	survives = timer_pending(&timer);
	saw(deleted == scenario.deletes_wait, "del_timer returned %d", deleted);
	saw(survives == !scenario.deletes_wait, "the timer %s",
	    survives ? "survived" : "was deleted");
	late = del_timer(&timer);
	saw(late == survives, "a second del_timer returned %d", late);
}

int main(int argc, char **argv)
{
	const char *variant;
	int rounds;

	scenario_start(argc, argv, "sync|plain [rounds]");
	variant = next_argument();
	rounds = rounds_argument(1000);
	no_more_arguments();
	if (!variant)
		usage();
	setup_timer(&timer, handler, 0);
	if (!strcmp(variant, "sync"))
		delete_at_random_phase(rounds);
	else if (!strcmp(variant, "plain"))
		delete_plainly();
	else
		usage();
	return scenario_end();
}
