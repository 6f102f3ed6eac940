/* Cases of storage that is no timer, not yet, or no more. */
#include "timertest.h"

#include <sys/wait.h>

static void delete_initialised(void)
{
	static struct timer_list timer;

	init_timer(&timer);
	expect("del_timer", del_timer(&timer), 0);
}

static void delete_static(void)
{
	static struct timer_list timer;

	expect("del_timer of an all-zero static", del_timer(&timer), 0);
}

static void delete_garbage(void)
{
	struct timer_list *timer = kmalloc(sizeof *timer, GFP_KERNEL);

	expect("del_timer of a fresh block", del_timer(timer), 0);
	kfree(timer);
}

static void delete_freed(void)
{
	struct timer_list *timer = heap_timer(counts);

	kfree(timer);
	expect("del_timer of freed storage", del_timer(timer), 0);
}

/* The copy is no timer; the original fires. */
static void copy_pending(void)
{
	static struct timer_list timer, copy;

	setup_timer(&timer, counts, 0);
	mod_timer(&timer, jiffies + HZ / 2);
	memcpy(&copy, &timer, sizeof copy);
	expect("del_timer of the copy", del_timer(&copy), 0);
	wait_for_runs(1);
	expect("runs", atomic_load(&runs), 1);
}

static void copy_and_wipe(void)
{
	static struct timer_list timer, copy;
	unsigned long expires = jiffies + HZ / 2;

	setup_timer(&timer, counts, 0);
	mod_timer(&timer, expires);
	memcpy(&copy, &timer, sizeof copy);
	expect("del_timer of the copy", del_timer(&copy), 0);
	memset(&timer, 0, sizeof timer);
	wait_past(expires);
	expect("runs", atomic_load(&runs), 0);
}

static void copy_inactive(void)
{
	static struct timer_list timer, copy;

	setup_timer(&timer, counts, 0);
	memcpy(&copy, &timer, sizeof copy);
	mod_timer(&copy, jiffies + SOON);
	wait_for_runs(1);
	mod_timer(&timer, jiffies + SOON);
	wait_for_runs(2);
	expect("del_timer of the copy", del_timer(&copy), 0);
}

enum { MANY = 200000 };

/* Allocates until the heap gives out the block that this thread freed again. */
static struct timer_list *allocate_again(const void *old)
{
	for (int i = 0; i < MANY; i++) {
		struct timer_list *timer = kmalloc(sizeof *timer, GFP_KERNEL);

		if (timer == old)
			return timer;
		kfree(timer);
	}
	return NULL;
}

/* The old handler still runs: a delete of the new timer does not wait for it. */
static void use_again(struct timer_list *timer)
{
	expect("the block is given out again", timer != NULL, 1);
	if (timer) {
		setup_timer(timer, counts, 0);
		mod_timer(timer, jiffies + NEVER);
		expect("del_timer_sync of the new timer", del_timer_sync(timer), 1);
	}
	expect("runs of the old handler", atomic_load(&runs), 0);
	gate_open(&go_gate);
	wait_for_runs(1);
}

static void storage_reused(void)
{
	struct timer_list *old = heap_timer(waits_for_go);

	start_and_enter(old);
	kfree(old);
	use_again(allocate_again(old));
}

static struct timer_list *_Atomic given_out_again;

/* Frees its timer, which is legal, and stays. The block is given to main. */
static void frees_itself_and_stays(unsigned long data)
{
	kfree((void *)data);
	atomic_store(&given_out_again, allocate_again((void *)data));
	enter_and_wait();
	atomic_fetch_add(&runs, 1);
}

static void storage_reused_after_own(void)
{
	start_and_enter(heap_timer(frees_itself_and_stays));
	use_again(atomic_load(&given_out_again));
}

static void realloc_moves(void)
{
	struct timer_list *timer = heap_timer(counts), *moved;
	unsigned long expires = jiffies + HZ / 2;

	mod_timer(timer, expires);
	moved = krealloc(timer, 1 << 20, GFP_KERNEL);
	expect("krealloc moves the block", moved != timer, 1);
	expect("del_timer of the moved timer", del_timer(moved), 0);
	wait_past(expires);
	expect("runs", atomic_load(&runs), 0);
	kfree(moved);
}

__attribute__((noinline)) static void arm_on_the_stack(unsigned long expires)
{
	struct timer_list timer;

	setup_timer(&timer, counts, 0);
	mod_timer(&timer, expires);
}

/* So deep that only use_the_stack() comes there again. */
__attribute__((noinline)) static void arm_deep_down(unsigned long expires)
{
	volatile unsigned char frame[4096];

	frame[0] = 0;
	arm_on_the_stack(expires);
	(void)frame[0]; /* no tail call, which would take this frame away first */
}

__attribute__((noinline)) static void use_the_stack(void)
{
	volatile unsigned char frame[2 * 4096];

	for (unsigned i = 0; i < sizeof frame; i++)
		frame[i] = 0x77;
}

static void stack_frame_gone(void)
{
	unsigned long expires = jiffies + HZ / 2;

	arm_deep_down(expires);
	use_the_stack();
	wait_past(expires);
	expect("runs", atomic_load(&runs), 0);
}

static void stack_declared(void)
{
	struct timer_list timer;

	setup_timer_on_stack(&timer, counts, 0);
	mod_timer(&timer, jiffies + NEVER);
	expect("del_timer_sync", del_timer_sync(&timer), 1);
	destroy_timer_on_stack(&timer);
}

/* The child has no timer thread: in the parent the timer fires, there it never does. */
static void fork_pending(void)
{
	static DEFINE_TIMER(timer, counts, 0, 0);
	struct timespec past = { .tv_nsec = 900L * 1000 * 1000 };
	int status = -1;
	pid_t child;

	mod_timer(&timer, jiffies + HZ / 2);
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		nanosleep(&past, NULL);
		_exit(atomic_load(&runs));
	}
	waitpid(child, &status, 0);
	expect("the handler's runs in the child", WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
	wait_for_runs(1);
}
