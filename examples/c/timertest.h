/*
 * What the cases of timertest share. A case is a function of its own; each
 * return value that it expects is written down, and what it does not get is
 * printed.
 */
#ifndef TIMERTEST_H
#define TIMERTEST_H
#include "scenario.h"

/* Ticks: soon for main, soon for a handler that arms its own timer (so late that
 * it does not lie in the past by the time it is added). */
enum { SOON = 1, SOON_AGAIN = 5 };

static atomic_int runs; /* of the case's handler */
static const char *case_name;
static atomic_int case_is_ok;  /* handlers assert as well */

/* Asserts an int, such as a call's return value. */
#define expect(what, got, wanted) expect_int(what, got, wanted, __LINE__)

static inline void expect_int(const char *what, int got, int wanted, int line)
{
	if (got == wanted)
		return;
	printf("case %s: WRONG: %s is %d, not %d (line %d)\n", case_name, what, got,
	       wanted, line);
	atomic_store(&case_is_ok, 0);
}

/* Handlers. */

static inline void counts(unsigned long unused)
{
	(void)unused;
	atomic_fetch_add(&runs, 1);
}

static inline void waits_for_go(unsigned long unused)
{
	(void)unused;
	enter_and_wait();
	atomic_fetch_add(&runs, 1);
}

/* Has it run, and returned? */
static inline void wait_for_runs(int wanted)
{
	spin_until(&runs, wanted);
	handlers_return();
}

/* Arms a timer and waits until its handler waits at GO. */
static inline void start_and_enter(struct timer_list *timer)
{
	mod_timer(timer, jiffies + SOON);
	gate_pass(&entered_gate);
}

/* del_timer() of a timer whose handler waits at GO, and GO. */
static inline int delete_and_go(struct timer_list *timer)
{
	int deleted;

	before_delete();
	deleted = del_timer(timer);
	after_delete();
	return deleted;
}

/* The same with del_timer_sync(), which waits under every policy. */
static inline int delete_sync_and_go(struct timer_list *timer)
{
	int deleted;

	helper_start(1);
	deleted = del_timer_sync(timer);
	helper_join();
	return deleted;
}

static inline struct timer_list *heap_timer(void (*handler)(unsigned long))
{
	struct timer_list *timer = kmalloc(sizeof *timer, GFP_KERNEL);

	setup_timer(timer, handler, (unsigned long)timer);
	return timer;
}

/* Waits until a timer armed for that time would have fired. */
static inline void wait_past(unsigned long expires)
{
	while (time_before_eq(jiffies, expires))
		nap_ms(1);
	handlers_return();
}
#endif
