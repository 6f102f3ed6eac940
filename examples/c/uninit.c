/*
 * Timers that nobody initialised. The mail: "there are many files in the kernel
 * tree which use statically initialised timers but fail to initialise them".
 *
 *     mail     static struct timer_list t = { NULL, NULL, 0, 0, some_func };
 *     zeroed   a static without initialiser, its fields assigned
 *     malloc   a heap block with what an earlier owner left in it
 *     kmalloc  a heap block that was never written
 */
#include "scenario.h"

/* The mail's line leaves out braces and fields, as the drivers did. */
#pragma GCC diagnostic ignored "-Wmissing-braces"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static atomic_int runs;

static void some_func(unsigned long unused)
{
	(void)unused;
	atomic_fetch_add(&runs, 1);
}

/* Statics are all zero: they work, and are counted. */
static void use_static(struct timer_list *timer)
{
	int deleted;

	timer->expires = jiffies + 1;
	add_timer(timer);
	spin_until(&runs, 1);
	handlers_return();
	deleted = del_timer(timer);
	saw(1, "the handler ran");
	saw(deleted == 0, "del_timer returned %d", deleted);
}

/* Garbage is refused, and stays as it is. */
static void use_garbage(struct timer_list *timer)
{
	unsigned long expires = jiffies + 1;
	int deleted;

	timer->expires = expires;
	timer->data = 0;
	timer->function = some_func;
	add_timer(timer);
	while (time_before_eq(jiffies, expires))
		nap_ms(1);
	handlers_return();
	deleted = del_timer(timer);
	saw(atomic_load(&runs) == 0, "runs of the handler: %d", atomic_load(&runs));
	saw(deleted == 0, "del_timer returned %d", deleted);
}

static struct timer_list *left_by_an_earlier_owner(void)
{
	struct timer_list *timer = malloc(sizeof *timer);

	if (!timer)
		die("malloc");
	memset(timer, 0xd7, sizeof *timer);
	return timer;
}

int main(int argc, char **argv)
{
	static struct timer_list t = { NULL, NULL, 0, 0, some_func };
	static struct timer_list zeroed;
	const char *variant;

	scenario_start(argc, argv, "mail|zeroed|malloc|kmalloc");
	variant = next_argument();
	no_more_arguments();
	if (!variant)
		usage();
	zeroed.function = some_func;
	if (!strcmp(variant, "mail"))
		use_static(&t);
	else if (!strcmp(variant, "zeroed"))
		use_static(&zeroed);
	else if (!strcmp(variant, "malloc"))
		use_garbage(left_by_an_earlier_owner());
	else if (!strcmp(variant, "kmalloc"))
		use_garbage(kmalloc(sizeof(struct timer_list), GFP_KERNEL));
	else
		usage();
	return scenario_end();
}
