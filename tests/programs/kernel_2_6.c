/*
 * The interface of 2.6 to 4.14: setup_timer, initialisers with data.
 */
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

struct session {
	struct list_head all;
	struct timer_list timeout;
	int id;
};

static LIST_HEAD(sessions);
static DEFINE_SPINLOCK(sessions_lock);

static void collect(unsigned long);
static DEFINE_TIMER(collector, collect, 0, 0);
static struct timer_list second = TIMER_INITIALIZER(collect, 100, 5);
static struct timer_list third = __TIMER_INITIALIZER(collect, 0, 0, TIMER_DEFERRABLE);

static void collect(unsigned long data)
{
	struct session *session, *next;

	(void)data;
	spin_lock_bh(&sessions_lock);
	list_for_each_entry_safe(session, next, &sessions, all) {
		if (session->id & 1 && try_to_del_timer_sync(&session->timeout) >= 0) {
			list_del(&session->all);
			kfree(session);
		}
	}
	spin_unlock_bh(&sessions_lock);
	mod_timer(&collector, jiffies + msecs_to_jiffies(250));
}

static void expired(unsigned long data)
{
	struct session *session = (struct session *)data;

	if (time_after_eq(jiffies, session->timeout.expires))
		session->id |= 1;
}

int begin(int id)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return -1;
	session->id = id;
	setup_timer(&session->timeout, expired, (unsigned long)session);
	spin_lock(&sessions_lock);
	list_add_tail(&session->all, &sessions);
	spin_unlock(&sessions_lock);
	return mod_timer(&session->timeout, jiffies + 10 * HZ);
}

int on_stack(void)
{
	struct timer_list local;
	int pending;

	setup_timer_on_stack(&local, expired, 0);
	pending = timer_pending(&local) + mod_timer_pending(&local, jiffies + 1);
	del_singleshot_timer_sync(&local);
	destroy_timer_on_stack(&local);
	return pending + del_timer_sync(&second) + del_timer(&third);
}

static int __init start(void)
{
	return mod_timer(&collector, jiffies);
}
module_init(start);
