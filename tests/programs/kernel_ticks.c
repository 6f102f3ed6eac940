/*
 * The names of timers and ticks that differ by generation or by what they
 * promise only: here they are the plain ones.
 */
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/timer.h>
#include <deadwalk/deadwalk.h>
#include "kernel_check.h"

static int fired;

static void count(unsigned long data)
{
	fired += (int)data;
}

static struct timer_list deferred = TIMER_DEFERRED_INITIALIZER(count, 0, 1);
static struct timer_list pinned = TIMER_PINNED_INITIALIZER(count, 0, 1);

static void set_up(void)
{
	static struct timer_list timers[6];
	struct timer_list on_stack[3];
	unsigned int i;

	setup_pinned_timer(&timers[0], count, 1);
	setup_deferrable_timer(&timers[1], count, 1);
	__setup_timer(&timers[2], count, 1, TIMER_DEFERRABLE | TIMER_PINNED | TIMER_IRQSAFE);
	init_timer_pinned(&timers[3]);
	init_timer_deferrable(&timers[4]);
	init_timer(&timers[5]);
	setup_deferrable_timer_on_stack(&on_stack[0], count, 1);
	setup_pinned_timer_on_stack(&on_stack[1], count, 1);
	init_timer_on_stack(&on_stack[2]);
	on_stack[2].function = count;
	on_stack[2].data = 1;
	for (i = 3; i < 6; i++) {
		timers[i].function = count;
		timers[i].data = 1;
	}
	for (i = 0; i < ARRAY_SIZE(timers); i++) {
		set_timer_slack(&timers[i], HZ);
		timers[i].expires = jiffies + 1;
		if (i % 3 == 0)
			add_timer_local(&timers[i]);
		else if (i % 3 == 1)
			add_timer_global(&timers[i]);
		else
			mod_timer_pinned(&timers[i], jiffies + 1);
	}
	for (i = 0; i < ARRAY_SIZE(on_stack); i++)
		mod_timer(&on_stack[i], jiffies + 1);
	mod_timer(&deferred, jiffies + 1);
	mod_timer(&pinned, jiffies + 2);
	CHECK(deadwalk_timer_advance(1) == 10 && fired == 10);
	CHECK(del_singleshot_timer_sync(&pinned) == 1);
	for (i = 0; i < ARRAY_SIZE(on_stack); i++)
		timer_destroy_on_stack(&on_stack[i]);
}

/* Which is later, and how long is it? */
static void times(void)
{
	unsigned long now = jiffies;

	CHECK(get_jiffies_64() == now && jiffies_64 == now);
	CHECK(time_is_before_jiffies(now - 1) && !time_is_before_jiffies(now));
	CHECK(time_is_before_eq_jiffies(now) && !time_is_before_eq_jiffies(now + 1));
	CHECK(time_is_after_jiffies(now + 1) && !time_is_after_jiffies(now));
	CHECK(time_is_after_eq_jiffies(now) && !time_is_after_eq_jiffies(now - 1));
	CHECK(time_in_range(5, 5, 7) && time_in_range(7, 5, 7) && !time_in_range(8, 5, 7));
	CHECK(time_in_range_open(5, 5, 7) && !time_in_range_open(7, 5, 7));
	CHECK(time_after64(1, ~0UL) && time_before64(1, 2) && time_in_range64(1, 0, 1));

	CHECK(secs_to_jiffies(3) == 3 * HZ && msecs_to_jiffies(1000) == HZ);
	CHECK(nsecs_to_jiffies(2000000000ULL) == 2 * HZ && nsecs_to_jiffies64(0) == 0);
	CHECK(usecs_to_jiffies(1) == 1 && jiffies_to_usecs(HZ) == 1000000);
	CHECK(jiffies_to_nsecs(HZ) == 1000000000ULL && jiffies64_to_nsecs(0) == 0);
	CHECK(jiffies64_to_msecs(HZ) == 1000 && jiffies_delta_to_msecs(-1) == 0);
	CHECK(jiffies_delta_to_msecs(HZ) == 1000);
	CHECK(jiffies_to_clock_t(2 * HZ) == 200 && clock_t_to_jiffies(200) == 2 * HZ);
	CHECK(jiffies_delta_to_clock_t(-1) == 0 && jiffies_64_to_clock_t(HZ) == 100);
	CHECK(msecs_to_jiffies((unsigned int)-1) == MAX_JIFFY_OFFSET);
	CHECK((unsigned long)MAX_SCHEDULE_TIMEOUT == MAX_JIFFY_OFFSET + 1);
}

static void full_seconds(void)
{
	unsigned long base = jiffies - jiffies % HZ + 10 * HZ, now = jiffies;

	CHECK(round_jiffies(base) == base && round_jiffies_up(base) == base + HZ);
	CHECK(round_jiffies(base + HZ / 4 - 1) == base);
	CHECK(round_jiffies(base + HZ / 4) == base + HZ);
	CHECK(round_jiffies_up(base + 1) == base + HZ);
	CHECK(__round_jiffies(base + 1, 0) == base && __round_jiffies_up(base + 1, 0) == base + HZ);
	/* Never into the past. */
	CHECK(round_jiffies(now - 5 * HZ) == now - 5 * HZ);
	CHECK((now + round_jiffies_relative(5 * HZ)) % HZ == 0);
	CHECK((now + round_jiffies_up_relative(5 * HZ)) % HZ == 0);
	CHECK(round_jiffies_up_relative(5 * HZ) >= 5 * HZ);
	CHECK(__round_jiffies_relative(HZ, 0) == round_jiffies_relative(HZ));
	CHECK(__round_jiffies_up_relative(HZ, 0) == round_jiffies_up_relative(HZ));
}

int main(void)
{
	deadwalk_timer_advance(0);
	set_up();
	times();
	full_seconds();
	return wrong;
}
