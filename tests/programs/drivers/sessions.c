/*
 * Sessions with reference counts, as protocols from 4.15 on are written: an armed timer
 * holds a reference, in a hash of lists.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/refcount.h>
#include <linux/kref.h>
#include <linux/jiffies.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/types.h>
#include <linux/list.h>

struct session {
	struct hlist_node node;
	refcount_t ref;
	struct timer_list timer;
	spinlock_t lock;
	u32 id;
	bool closed;
	unsigned int retries;
};

#define BITS 4
static struct hlist_head table[1 << BITS];
static DEFINE_SPINLOCK(table_lock);
static atomic64_t created = ATOMIC64_INIT(0);
static const unsigned int timeouts[] = { 5, 10, 20 };

static void session_put(struct session *s)
{
	if (!refcount_dec_and_test(&s->ref))
		return;
	WARN_ON_ONCE(timer_pending(&s->timer));
	kfree_sensitive(s);
}

static void session_timer(struct timer_list *t)
{
	struct session *s = from_timer(s, t, timer);

	spin_lock(&s->lock);
	if (!READ_ONCE(s->closed) && s->retries < ARRAY_SIZE(timeouts)) {
		unsigned int ms = timeouts[s->retries++];

		if (!mod_timer(&s->timer, jiffies + msecs_to_jiffies(ms)))
			refcount_inc(&s->ref);
	}
	switch (s->retries) {
	case 1:
		pr_debug("once\n");
		fallthrough;
	default:
		break;
	}
	spin_unlock(&s->lock);
	session_put(s);
}

static struct session *session_create(u32 id, gfp_t gfp)
{
	struct session *s = kzalloc(sizeof(*s), gfp | __GFP_NOWARN);

	if (unlikely(!s))
		return NULL;
	s->id = id;
	refcount_set(&s->ref, 2);
	spin_lock_init(&s->lock);
	timer_setup(&s->timer, session_timer, TIMER_DEFERRABLE);
	spin_lock_bh(&table_lock);
	hlist_add_head(&s->node, &table[id % ARRAY_SIZE(table)]);
	spin_unlock_bh(&table_lock);
	s->timer.expires = jiffies + 1;
	add_timer(&s->timer);
	atomic64_inc(&created);
	return s;
}

static struct session *session_find(u32 id)
{
	struct session *s;

	spin_lock_bh(&table_lock);
	hlist_for_each_entry(s, &table[id % ARRAY_SIZE(table)], node)
		if (s->id == id && refcount_inc_not_zero(&s->ref)) {
			spin_unlock_bh(&table_lock);
			return s;
		}
	spin_unlock_bh(&table_lock);
	return NULL;
}

static void session_close(struct session *s)
{
	WRITE_ONCE(s->closed, true);
	spin_lock_bh(&table_lock);
	hlist_del_init(&s->node);
	spin_unlock_bh(&table_lock);
	if (del_timer_sync(&s->timer))
		session_put(s);
	session_put(s);
}

static int __init m_init(void)
{
	BUILD_BUG_ON(sizeof(struct session) > 512);
	return session_create(1, GFP_KERNEL) ? 0 : -ENOMEM;
}

static void __exit m_exit(void)
{
	struct session *s = session_find(1);

	if (s) {
		session_close(s);
		session_put(s);
	}
	pr_info("created %lld\n", (long long)atomic64_read(&created));
}

module_init(m_init);
module_exit(m_exit);
MODULE_LICENSE("GPL v2");

int main(void)
{
	if (init_module())
		return 1;
	usleep_range(30000, 40000);
	cleanup_module();
	return 0;
}
