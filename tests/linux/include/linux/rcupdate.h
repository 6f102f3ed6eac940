/*
 * Stub: RCU without readers. The harnesses free what is freed so only when no
 * other thread is left that could read it.
 */
#ifndef STUB_RCUPDATE_H
#define STUB_RCUPDATE_H

#include <linux/slab.h>

struct rcu_head {
	struct rcu_head *next;
};

#define rcu_read_lock() ((void)0)
#define rcu_read_unlock() ((void)0)

#define kfree_rcu(object, head) ((void)&(object)->head, kfree(object))

#endif
