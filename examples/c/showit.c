/*
 * showit: the module of A. Morton's mail "kernel timer races" (linux-kernel,
 * 25 May 2000). It "demonstrates the existence of the problem. It consists of a
 * kernel thread and a periodic timer. The kernel thread spins until the handler
 * starts, then deletes the timer and then checks to see if the handler is still
 * running. It shows that under 2.2 and 2.3 it is still running."
 */
#include "scenario.h"

static atomic_int started;    /* rounds whose handler has begun */
static atomic_int left;       /* ... and ended */
static atomic_int in_handler; /* it is between its first and last line */

static void handler(unsigned long unused)
{
	(void)unused;
	atomic_store(&in_handler, 1);
	atomic_fetch_add(&started, 1);
	stay_until_go();
	atomic_store(&in_handler, 0);
	atomic_fetch_add(&left, 1);
}

/* One round; says whether the handler was still running after the delete. */
static int showit(struct timer_list *timer, int (*del)(struct timer_list *), int round)
{
	int still_running;

	mod_timer(timer, jiffies + 1);
	spin_until(&started, round + 1);

	before_delete();
	del(timer); /* the race */
	still_running = atomic_load(&in_handler);
	after_delete();

	spin_until(&left, round + 1);
	return still_running;
}

int main(int argc, char **argv)
{
	static struct timer_list timer;
	const char *variant;
	int rounds, expected, hits = 0;

	scenario_start(argc, argv, "[rounds] [del_timer_async]");
	rounds = rounds_argument(100);
	variant = next_argument();
	no_more_arguments();
	if (variant && strcmp(variant, "del_timer_async"))
		usage();
	if (variant)
		scenario.deletes_wait = 0;
	expected = scenario.deletes_wait ? 0 : rounds;

	setup_timer(&timer, handler, 0);
	for (int round = 0; round < rounds; round++)
		hits += showit(&timer, variant ? del_timer_async : del_timer, round);
	handlers_return();
	saw(hits == expected, "handler still running after %s: %d of %d",
	    variant ? variant : "del_timer", hits, rounds);
	return scenario_end();
}
