/* Cases of what each call returns, and what it refuses. */
#include "timertest.h"

static void double_delete(void)
{
	static DEFINE_TIMER(timer, counts, 0, 0);

	mod_timer(&timer, jiffies + NEVER);
	expect("del_timer", del_timer(&timer), 1);
	expect("del_timer again", del_timer(&timer), 0);
}

static void mod_and_reduce(void)
{
	static DEFINE_TIMER(timer, counts, 0, 0);
	unsigned long never = jiffies + NEVER;

	expect("mod_timer_pending, inactive", mod_timer_pending(&timer, never), 0);
	expect("timer_pending", timer_pending(&timer), 0);
	expect("mod_timer, inactive", mod_timer(&timer, never), 0);
	expect("mod_timer, pending", mod_timer(&timer, never + 1), 1);
	expect("mod_timer_pending, pending", mod_timer_pending(&timer, never), 1);
	expect("timer_reduce to later", timer_reduce(&timer, never + 1), 1);
	expect("expires", timer.expires == never, 1);
	expect("timer_reduce to earlier", timer_reduce(&timer, never - 1), 1);
	expect("expires", timer.expires == never - 1, 1);
	expect("del_timer", del_timer(&timer), 1);
}

struct modern {
	int value;
	struct timer_list timer;
};

static void modern_handler(struct timer_list *timer)
{
	struct modern *modern = from_timer(modern, timer, timer);

	expect("the value by from_timer", modern->value, 7);
	atomic_fetch_add(&runs, 1);
}

/* Since 4.15, with the names of 6.x. */
static void modern_names(void)
{
	struct modern *modern = kzalloc(sizeof *modern, GFP_KERNEL);

	modern->value = 7;
	timer_setup(&modern->timer, modern_handler, 0);
	mod_timer(&modern->timer, jiffies + SOON);
	wait_for_runs(1);
	mod_timer(&modern->timer, jiffies + NEVER);
	expect("timer_delete", timer_delete(&modern->timer), 1);
	expect("timer_delete again", timer_delete(&modern->timer), 0);
	mod_timer(&modern->timer, jiffies + NEVER);
	expect("timer_delete_sync", timer_delete_sync(&modern->timer), 1);
	kfree(modern);
}

static void modern_static(void)
{
	static struct modern modern = { 7, TIMER_INITIALIZER(modern_handler) };

	mod_timer(&modern.timer, jiffies + SOON);
	wait_for_runs(1);
}

/* What is armed after a shutdown is dropped, until the timer is set up again. */
static void arm_after_shutdown(void)
{
	static DEFINE_TIMER(timer, counts, 0, 0);

	mod_timer(&timer, jiffies + NEVER);
	expect("timer_shutdown_sync", timer_shutdown_sync(&timer), 1);
	expect("mod_timer after it", mod_timer(&timer, jiffies + NEVER), 0);
	expect("timer_pending", timer_pending(&timer), 0);
	setup_timer(&timer, counts, 0);
	mod_timer(&timer, jiffies + NEVER);
	expect("timer_pending, set up again", timer_pending(&timer), 1);
	expect("timer_shutdown", timer_shutdown(&timer), 1);
}

static void double_add(void)
{
	static DEFINE_TIMER(timer, counts, 0, 0);

	timer.expires = jiffies + NEVER;
	add_timer(&timer);
	add_timer(&timer);
	expect("del_timer", del_timer(&timer), 1);
	expect("del_timer again", del_timer(&timer), 0);
}

static void null_handler(void)
{
	static struct timer_list timer;

	init_timer(&timer);
	timer.expires = jiffies + SOON;
	add_timer(&timer);
	expect("timer_pending", timer_pending(&timer), 0);
}

static void reinit_pending(void)
{
	static DEFINE_TIMER(timer, counts, 0, 0);

	mod_timer(&timer, jiffies + NEVER);
	init_timer(&timer);
	expect("timer_pending", timer_pending(&timer), 0);
	expect("del_timer", del_timer(&timer), 0);
}

static void is_replaced(unsigned long unused)
{
	(void)unused;
	expect("a handler that was replaced runs", 1, 0);
}

/* Ordinary 2.x code: the fields of a pending timer are the program's. */
static void change_fields(void)
{
	static DEFINE_TIMER(timer, is_replaced, 0, 0);

	mod_timer(&timer, jiffies + HZ / 5);
	timer.function = counts;
	wait_for_runs(1);
	expect("runs", atomic_load(&runs), 1);
}
