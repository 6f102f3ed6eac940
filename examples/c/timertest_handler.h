/* Cases in which a handler acts upon its own timer. */
#include "timertest.h"

static atomic_int in_handler_returned = -1; /* by the call on trial */

static void one_shot(void)
{
	static DEFINE_TIMER(timer, counts, 0, 0);

	expect("timer_pending", timer_pending(&timer), 0);
	timer.expires = jiffies + SOON;
	add_timer(&timer);
	wait_for_runs(1);
	expect("timer_pending after the run", timer_pending(&timer), 0);
	expect("del_timer", del_timer(&timer), 0);
	expect("runs", atomic_load(&runs), 1);
}

enum { PERIODS = 3 };

static void rearms(unsigned long data)
{
	struct timer_list *timer = (void *)data;
	int is_last = atomic_load(&runs) == PERIODS - 1;

	timer->expires = jiffies + (is_last ? NEVER : SOON_AGAIN);
	add_timer(timer);
	atomic_fetch_add(&runs, 1);
}

static void periodic(void)
{
	static struct timer_list timer = INIT_TIMER_FN(rearms);

	timer.data = (unsigned long)&timer;
	mod_timer(&timer, jiffies + SOON);
	wait_for_runs(PERIODS);
	expect("timer_pending", timer_pending(&timer), 1);
	expect("del_timer", del_timer(&timer), 1);
	expect("timer_pending after the delete", timer_pending(&timer), 0);
}

static void deletes_itself(unsigned long data)
{
	struct timer_list *timer = (void *)data;

	expect("timer_pending in the handler", timer_pending(timer), 0);
	atomic_store(&in_handler_returned, del_timer(timer));
	atomic_fetch_add(&runs, 1);
}

static void delete_in_handler(void)
{
	static struct timer_list timer;

	setup_timer(&timer, deletes_itself, (unsigned long)&timer);
	mod_timer(&timer, jiffies + SOON);
	wait_for_runs(1);
	expect("del_timer in the handler", atomic_load(&in_handler_returned), 0);
}

static void deletes_and_readds(unsigned long data)
{
	struct timer_list *timer = (void *)data;

	expect("del_timer in the handler", del_timer(timer), 0);
	if (atomic_load(&runs) == 0) {
		timer->expires = jiffies + SOON_AGAIN;
		add_timer(timer);
		expect("timer_pending in the handler", timer_pending(timer), 1);
	}
	atomic_fetch_add(&runs, 1);
}

static void delete_readd_in_handler(void)
{
	static struct timer_list timer;

	setup_timer(&timer, deletes_and_readds, (unsigned long)&timer);
	mod_timer(&timer, jiffies + SOON);
	wait_for_runs(2);
	expect("timer_pending", timer_pending(&timer), 0);
}

static void readds(unsigned long data)
{
	expect("mod_timer in the handler", mod_timer((void *)data, jiffies + NEVER), 0);
	atomic_fetch_add(&runs, 1);
}

static void readd_then_delete(void)
{
	static struct timer_list timer;

	setup_timer(&timer, readds, (unsigned long)&timer);
	mod_timer(&timer, jiffies + SOON);
	wait_for_runs(1);
	expect("del_timer", del_timer(&timer), 1);
}

static void readds_and_deletes(unsigned long data)
{
	enter_and_wait();
	mod_timer((void *)data, jiffies + NEVER);
	atomic_store(&in_handler_returned, del_timer((void *)data));
	atomic_fetch_add(&runs, 1);
}

/* The outer delete must not detach blindly: nothing is left to detach. */
static void readd_delete_self(void)
{
	static struct timer_list timer;

	setup_timer(&timer, readds_and_deletes, (unsigned long)&timer);
	start_and_enter(&timer);
	expect("del_timer_sync", delete_sync_and_go(&timer), 0);
	expect("del_timer in the handler", atomic_load(&in_handler_returned), 1);
	expect("timer_pending", timer_pending(&timer), 0);
}

static void readds_deletes_frees(unsigned long data)
{
	readds_and_deletes(data);
	kfree((void *)data);
}

/* "This patch will get confused": the waiting delete must not touch the storage. */
static void readd_delete_free(void)
{
	struct timer_list *timer = heap_timer(readds_deletes_frees);

	start_and_enter(timer);
	expect("del_timer_sync", delete_sync_and_go(timer), 0);
	expect("del_timer in the handler", atomic_load(&in_handler_returned), 1);
	handlers_return();
}

static void frees_itself(unsigned long data)
{
	kfree((void *)data);
	atomic_fetch_add(&runs, 1);
}

static void free_in_handler(void)
{
	struct timer_list *timer = heap_timer(frees_itself);

	mod_timer(timer, jiffies + SOON);
	wait_for_runs(1);
}

static void deletes_sync(unsigned long data)
{
	struct timer_list *timer = (void *)data;

	if (atomic_load(&runs) == 0)
		mod_timer(timer, jiffies + NEVER);
	atomic_store(&in_handler_returned, del_timer_sync(timer));
	atomic_fetch_add(&runs, 1);
}

/* At once in any case; 1 of a timer that was armed again, 0 of one that was not. */
static void sync_from_handler(void)
{
	static struct timer_list timer;

	setup_timer(&timer, deletes_sync, (unsigned long)&timer);
	mod_timer(&timer, jiffies + SOON);
	wait_for_runs(1);
	expect("del_timer_sync, armed", atomic_load(&in_handler_returned), 1);
	mod_timer(&timer, jiffies + SOON);
	wait_for_runs(2);
	expect("del_timer_sync, not armed", atomic_load(&in_handler_returned), 0);
}

static void waits_for_all(unsigned long unused)
{
	(void)unused;
	sync_timers();
	atomic_fetch_add(&runs, 1);
}

static void sync_timers_in_handler(void)
{
	static DEFINE_TIMER(timer, waits_for_all, 0, 0);

	mod_timer(&timer, jiffies + SOON);
	wait_for_runs(1);
}

static void rearms_now(unsigned long data)
{
	if (atomic_fetch_add(&runs, 1) == 0)
		mod_timer((void *)data, jiffies);
}

/* It runs on the next tick: 2.2 ran it in the same pass, for ever. */
static void rearm_in_the_past(void)
{
	static struct timer_list timer;

	setup_timer(&timer, rearms_now, (unsigned long)&timer);
	mod_timer(&timer, jiffies + SOON);
	wait_for_runs(2);
	expect("runs", atomic_load(&runs), 2);
}
