/*
 * D3, "what is the value of 'foo'?": main deletes the timer and sets foo to 1,
 * the handler goes on and sets it to 2.
 */
#include "scenario.h"

static atomic_int foo, left;

static void handler(unsigned long unused)
{
	(void)unused;
	enter_and_wait();
	atomic_store(&foo, 2);
	atomic_fetch_add(&left, 1);
}

/* One round; the final value of foo. */
static int what_is_foo(struct timer_list *timer, int round)
{
	mod_timer(timer, jiffies + 1);
	gate_pass(&entered_gate);

	before_delete();
	del_timer(timer);
	atomic_store(&foo, 1);
	after_delete();
	spin_until(&left, round + 1);
	return atomic_load(&foo);
}

int main(int argc, char **argv)
{
	static struct timer_list timer;
	int rounds, ones = 0, twos = 0;

	scenario_start(argc, argv, "[rounds]");
	rounds = rounds_argument(scenario.deletes_wait ? 1000 : 1);
	no_more_arguments();
	helper.delay_ms = 0; /* a thousand rounds */
	setup_timer(&timer, handler, 0);
	for (int round = 0; round < rounds; round++) {
		int value = what_is_foo(&timer, round);

		ones += value == 1;
		twos += value == 2;
	}
	handlers_return();
	saw((scenario.deletes_wait ? ones : twos) == rounds, "foo was 1 in %d and 2 in %d of %d rounds",
	    ones, twos, rounds);
	return scenario_end();
}
