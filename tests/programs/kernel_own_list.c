/*
 * A program with a list.h of its own, before the timer's header.
 */
struct list_head {
	struct list_head *next, *prev;
};
#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)

static inline int list_empty(struct list_head *head)
{
	return head->next == head;
}

#include <linux/timer.h>

static LIST_HEAD(own);

int pending(struct timer_list *timer)
{
	return timer_pending(timer) && list_empty(&own);
}
