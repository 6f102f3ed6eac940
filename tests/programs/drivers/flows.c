/*
 * Flows that age, as code of 6.x is written: scopes give locks back, timers are shut
 * down, and one timer's handler collects what the others' have marked.
 */
#include <linux/cleanup.h>
#include <linux/container_of.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/types.h>
#include <linux/bits.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/build_bug.h>

struct flow {
	struct list_head list;
	struct timer_list gc;
	u16 flags;
};

#define FLOW_DEAD BIT(0)

struct flow_table {
	spinlock_t lock;
	struct list_head flows;
	struct timer_list timer;
	size_t n;
	u64 stats[] __counted_by(n);
};

static_assert(offsetof(struct flow_table, lock) == 0);

static void flow_gc(struct timer_list *t)
{
	struct flow *f = timer_container_of(f, t, gc);

	WRITE_ONCE(f->flags, f->flags | FLOW_DEAD);
}

static void table_tick(struct timer_list *t)
{
	struct flow_table *table = container_of(t, struct flow_table, timer);
	struct flow *f, *tmp;

	guard(spinlock)(&table->lock);
	list_for_each_entry_safe(f, tmp, &table->flows, list) {
		if (!(READ_ONCE(f->flags) & FLOW_DEAD))
			continue;
		list_del(&f->list);
		timer_shutdown_sync(&f->gc);
		kfree(f);
		table->stats[0]++;
	}
	mod_timer(t, jiffies + msecs_to_jiffies(10));
}

static void table_add_locked(struct flow_table *table, struct flow *f)
{
	lockdep_assert_held(&table->lock);
	list_add_tail(&f->list, &table->flows);
}

static int table_add(struct flow_table *table)
{
	struct flow *f __free(kfree) = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (!f)
		return -ENOMEM;
	timer_setup(&f->gc, flow_gc, 0);
	mod_timer(&f->gc, jiffies + 1);
	scoped_guard(spinlock_bh, &table->lock)
		table_add_locked(table, f);
	retain_and_null_ptr(f);
	return 0;
}

static struct flow_table *table_new(size_t n)
{
	struct flow_table *table = kzalloc(struct_size(table, stats, n), GFP_KERNEL);

	if (!table)
		return NULL;
	table->n = max(n, 1);
	spin_lock_init(&table->lock);
	INIT_LIST_HEAD(&table->flows);
	timer_setup(&table->timer, table_tick, TIMER_PINNED);
	table->timer.expires = jiffies + 1;
	add_timer_local(&table->timer);
	return table;
}

static void table_free(struct flow_table *table)
{
	struct flow *f, *tmp;

	timer_shutdown_sync(&table->timer);
	guard(spinlock_irqsave)(&table->lock);
	list_for_each_entry_safe(f, tmp, &table->flows, list) {
		list_del(&f->list);
		timer_delete_sync(&f->gc);
		kfree(f);
	}
}

int main(void)
{
	struct flow_table *table = table_new(3);
	int i;

	for (i = 0; i < 5; i++)
		if (table_add(table))
			return 1;
	fsleep(60000);
	table_free(table);
	pr_info("%llu\n", (unsigned long long)table->stats[0]);
	kvfree(table);
	return 0;
}

MODULE_DESCRIPTION("flows");
MODULE_LICENSE("GPL");
