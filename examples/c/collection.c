/*
 * "Racing Timers: A Kernel Pastime" (Rusty Russell, Unreliable Guide to Hacking
 * the Linux Kernel): a collection of objects, each with a timer that destroys it.
 *
 *     bad      destroys the collection without looking at what del_timer() says
 *     retry    looks, and gives the handler a chance to delete its element
 *     forever  retry, but one element's timer was never added
 */
#include "scenario.h"

enum { ELEMENTS = 3, MAX_RETRIES = 1000 };

struct foo {
	struct foo *next;
	struct timer_list timer;
};

static spinlock_t list_lock = SPIN_LOCK_UNLOCKED;
static struct foo *list;
static atomic_int entered, handler_frees, left;

/* The element may be freed by now: it is looked for from the head on. */
static void unlink_foo(struct foo *foo)
{
	struct foo **place = &list;

	while (*place && *place != foo)
		place = &(*place)->next;
	if (*place)
		*place = foo->next;
}

static void destroy(unsigned long data)
{
	struct foo *foo = (void *)data;

	atomic_store(&entered, 1);
	spin_lock_bh(&list_lock);
	unlink_foo(foo);
	kfree(foo);
	spin_unlock_bh(&list_lock);
	atomic_fetch_add(&handler_frees, 1);
	atomic_store(&left, 1);
}

static void build_list(void)
{
	for (int i = 0; i < ELEMENTS; i++) {
		struct foo *foo = kmalloc(sizeof *foo, GFP_KERNEL);

		setup_timer(&foo->timer, destroy, (unsigned long)foo);
		foo->next = list;
		list = foo;
	}
}

/* All but the first expire late; the first just before the list is locked. */
static void arm_all_but_first(void)
{
	for (struct foo *foo = list->next; foo; foo = foo->next)
		mod_timer(&foo->timer, jiffies + NEVER);
}

/* "THIS CODE BAD BAD BAD BAD" */
static int destroy_all_bad(void)
{
	int freed = 0;

	while (list) {
		struct foo *next = list->next;

		del_timer(&list->timer);
		kfree(list);
		list = next;
		freed++;
	}
	spin_unlock_bh(&list_lock);
	return freed;
}

/* Enters with the lock held. */
static int destroy_all_with_retry(int *retries)
{
	int freed = 0;

	while (list) {
		struct foo *next = list->next;

		if (!del_timer(&list->timer)) {
			/* Give timer a chance to delete this */
			spin_unlock_bh(&list_lock);
			if (++*retries == MAX_RETRIES)
				return freed;
			if (atomic_load(&entered))
				nap_ms(1); /* it wants a CPU, and the lock */
			spin_lock_bh(&list_lock);
			continue;
		}
		kfree(list);
		list = next;
		freed++;
	}
	spin_unlock_bh(&list_lock);
	return freed;
}

/* The first element's handler has begun, and can not get the lock, which we hold. */
static void handler_waits_for_lock(void)
{
	spin_lock_bh(&list_lock);
	mod_timer(&list->timer, jiffies + 1);
	spin_until(&entered, 1);
}

static void bad(void)
{
	int freed;

	handler_waits_for_lock();
	freed = destroy_all_bad();
	spin_until(&left, 1);
	handlers_return();
	saw(freed == ELEMENTS && atomic_load(&handler_frees) == 1,
	    "main freed %d of %d elements, the handler %d", freed, ELEMENTS,
	    atomic_load(&handler_frees));
}

static void retry(void)
{
	int freed, retries = 0;

	handler_waits_for_lock();
	freed = destroy_all_with_retry(&retries);
	spin_until(&left, 1);
	handlers_return();
	saw(freed == ELEMENTS - 1 && atomic_load(&handler_frees) == 1,
	    "main freed %d of %d elements, the handler %d", freed, ELEMENTS,
	    atomic_load(&handler_frees));
	saw(retries >= 1, "main had to try again");
}

static void forever(void)
{
	int freed, retries = 0;

	spin_lock_bh(&list_lock);
	freed = destroy_all_with_retry(&retries);
	saw(freed == 0, "main freed %d of %d elements", freed, ELEMENTS);
	saw(retries == MAX_RETRIES, "main gave up after %d tries", retries);
}

int main(int argc, char **argv)
{
	const char *variant;

	scenario_start(argc, argv, "bad|retry|forever");
	variant = next_argument();
	no_more_arguments();
	if (!variant)
		usage();
	build_list();
	arm_all_but_first();
	if (!strcmp(variant, "bad"))
		bad();
	else if (!strcmp(variant, "retry"))
		retry();
	else if (!strcmp(variant, "forever"))
		forever();
	else
		usage();
	return scenario_end();
}
