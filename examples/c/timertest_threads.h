/* Cases in which other threads act upon a timer whose handler runs. */
#include "timertest.h"

static void readd_by_other(void)
{
	static DEFINE_TIMER(timer, waits_for_go, 0, 0);

	start_and_enter(&timer);
	expect("mod_timer", mod_timer(&timer, jiffies + NEVER), 0);
	expect("del_timer", delete_and_go(&timer), 1);
	expect("timer_pending", timer_pending(&timer), 0);
	wait_for_runs(1);
}

static struct timer_list *to_readd;

static void readd(void)
{
	expect("mod_timer while a delete waits", mod_timer(to_readd, jiffies + NEVER), 0);
}

/* The helper arms the timer again while the delete waits. */
static void readd_under_the_waiter(void)
{
	static DEFINE_TIMER(timer, waits_for_go, 0, 0);

	to_readd = &timer;
	start_and_enter(&timer);
	helper.meanwhile = readd;
	expect("del_timer_sync", delete_sync_and_go(&timer), 1);
	helper.meanwhile = NULL;
	expect("timer_pending", timer_pending(&timer), 0);
	wait_for_runs(1);
}

static void mod_while_running(void)
{
	static DEFINE_TIMER(timer, waits_for_go, 0, 0);

	start_and_enter(&timer);
	expect("mod_timer of a running timer", mod_timer(&timer, jiffies + SOON), 0);
	expect("timer_pending of a running timer", timer_pending(&timer), 1);
	gate_open(&go_gate);
	gate_open(&go_gate); /* for the second run */
	wait_for_runs(2);
	gate_pass(&entered_gate);
	expect("del_timer", del_timer(&timer), 0);
}

/* Two threads that delete one timer at the same time. */
static struct {
	struct timer_list *timer;
	int (*del)(struct timer_list *);
	int frees;
	pthread_barrier_t barrier;
	atomic_int detaches;
} deleters;

static void *deleter(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&deleters.barrier);
	atomic_fetch_add(&deleters.detaches, deleters.del(deleters.timer));
	pthread_barrier_wait(&deleters.barrier); /* both are back */
	if (deleters.frees)
		kfree(deleters.timer);
	return NULL;
}

/* The sum of what both got. */
static int delete_twice(struct timer_list *timer, int (*del)(struct timer_list *), int frees)
{
	pthread_t threads[2];

	deleters.timer = timer;
	deleters.del = del;
	deleters.frees = frees;
	atomic_store(&deleters.detaches, 0);
	pthread_barrier_init(&deleters.barrier, NULL, 2);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, deleter, NULL))
			die("pthread_create");
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&deleters.barrier);
	return atomic_load(&deleters.detaches);
}

static void two_deleters(void)
{
	static DEFINE_TIMER(timer, counts, 0, 0);

	mod_timer(&timer, jiffies + NEVER);
	expect("both del_timer together", delete_twice(&timer, del_timer, 0), 1);
	expect("timer_pending", timer_pending(&timer), 0);
}

/* Under async neither waits, and both deletes land. */
static void two_deleters_running(void)
{
	static DEFINE_TIMER(timer, waits_for_go, 0, 0);

	start_and_enter(&timer);
	if (scenario.deletes_wait)
		helper_start(2);
	expect("both del_timer together", delete_twice(&timer, del_timer, 0), 0);
	after_delete();
	wait_for_runs(1);
}

static void readds_at_go(unsigned long data)
{
	enter_and_wait();
	mod_timer((void *)data, jiffies + NEVER);
	atomic_fetch_add(&runs, 1);
}

static void two_deleters_readded(void)
{
	static struct timer_list timer;

	setup_timer(&timer, readds_at_go, (unsigned long)&timer);
	start_and_enter(&timer);
	helper_start(2);
	expect("both del_timer_sync together", delete_twice(&timer, del_timer_sync, 0), 1);
	helper_join();
	expect("timer_pending", timer_pending(&timer), 0);
}

/* Only the one that got 1 may free. */
static void two_deleters_free(void)
{
	struct timer_list *timer = heap_timer(readds_at_go);

	start_and_enter(timer);
	helper_start(2);
	expect("both del_timer_sync together", delete_twice(timer, del_timer_sync, 1), 1);
	helper_join();
}

/* -1 from anywhere while the handler runs, and nothing changed. */
static void tries_itself(unsigned long data)
{
	struct timer_list *timer = (void *)data;

	expect("try_to_del_timer_sync in the handler", try_to_del_timer_sync(timer), -1);
	enter_and_wait();
	atomic_fetch_add(&runs, 1);
}

static void try_to_delete(void)
{
	static struct timer_list timer;

	setup_timer(&timer, tries_itself, (unsigned long)&timer);
	start_and_enter(&timer);
	expect("try_to_del_timer_sync while running", try_to_del_timer_sync(&timer), -1);
	expect("timer_delete_sync_try while running", timer_delete_sync_try(&timer), -1);
	gate_open(&go_gate);
	wait_for_runs(1);
	expect("try_to_del_timer_sync, inactive", try_to_del_timer_sync(&timer), 0);
	mod_timer(&timer, jiffies + NEVER);
	expect("try_to_del_timer_sync, pending", try_to_del_timer_sync(&timer), 1);
}

static void reinit_while_running(void)
{
	static DEFINE_TIMER(timer, waits_for_go, 0, 0);

	start_and_enter(&timer);
	init_timer(&timer);
	gate_open(&go_gate);
	wait_for_runs(1);
}

static void sync_timers_waits(void)
{
	static DEFINE_TIMER(timer, waits_for_go, 0, 0);

	start_and_enter(&timer);
	gate_open(&go_gate);
	sync_timers();
	expect("runs after sync_timers", atomic_load(&runs), 1);
}
