/*
 * The module 'kfree' "is a test case for some timer-used-after-kfree detection
 * code (uses slab poisoning)".
 *
 *     a   frees a pending timer
 *     b   frees a timer, then deletes it
 *     c   frees a timer, then writes its `expires`; c0 writes a zero byte
 *     e   frees a timer, then reads it: when does it expire, and whose data
 *     d   a handler frees its own timer while another thread waits in the delete
 */
#include "scenario.h"

static atomic_int runs;

static struct timer_list *new_timer(void (*handler)(unsigned long))
{
	struct timer_list *timer = kmalloc(sizeof *timer, GFP_KERNEL);

	setup_timer(timer, handler, (unsigned long)timer);
	return timer;
}

static void counts(unsigned long unused)
{
	(void)unused;
	atomic_fetch_add(&runs, 1);
}

static void free_while_pending(void)
{
	struct timer_list *timer = new_timer(counts);
	unsigned long expires = jiffies + HZ / 2;

	mod_timer(timer, expires);
	kfree(timer);
	while (time_before_eq(jiffies, expires))
		nap_ms(1);
	handlers_return();
	saw(atomic_load(&runs) == 0, "runs of the handler: %d", atomic_load(&runs));
}

static void delete_after_free(void)
{
	struct timer_list *timer = new_timer(counts);
	int deleted;

	kfree(timer);
	deleted = del_timer(timer);
	saw(deleted == 0, "del_timer returned %d", deleted);
}

/* The pointer goes through a volatile, or the compiler drops the dead store. */
static void write_after_free(int zero_byte)
{
	struct timer_list *volatile timer = new_timer(counts);

	kfree(timer);
	if (zero_byte)
		*(volatile unsigned char *)&timer->expires = 0;
	else
		*(volatile unsigned long *)&timer->expires = jiffies + HZ;
	saw(1, "wrote %s to freed storage", zero_byte ? "a zero byte" : "expires");
}

/* What is read is poison: nobody else can have the storage. */
static void read_after_free(void)
{
	struct timer_list *volatile timer = new_timer(counts);
	unsigned long expires, data;

	kfree(timer);
	expires = *(volatile unsigned long *)&timer->expires;
	data = *(volatile unsigned long *)&timer->data;
	saw(expires == data, "read the same from freed storage twice, and went on");
}

static void frees_itself(unsigned long data)
{
	enter_and_wait();
	kfree((void *)data);
	atomic_fetch_add(&runs, 1);
}

static void free_under_the_waiter(void)
{
	struct timer_list *timer = new_timer(frees_itself);
	int deleted;

	mod_timer(timer, jiffies + 1);
	gate_pass(&entered_gate);
	before_delete();
	deleted = del_timer(timer);
	after_delete();
	spin_until(&runs, 1);
	handlers_return();
	saw(deleted == 0, "del_timer returned %d", deleted);
}

int main(int argc, char **argv)
{
	const char *variant;

	scenario_start(argc, argv, "a|b|c|c0|e|d");
	variant = next_argument();
	no_more_arguments();
	if (!variant)
		usage();
	if (!strcmp(variant, "a"))
		free_while_pending();
	else if (!strcmp(variant, "b"))
		delete_after_free();
	else if (!strcmp(variant, "c"))
		write_after_free(0);
	else if (!strcmp(variant, "c0"))
		write_after_free(1);
	else if (!strcmp(variant, "e"))
		read_after_free();
	else if (!strcmp(variant, "d"))
		free_under_the_waiter();
	else
		usage();
	return scenario_end();
}
