/*
 * A program with a list.h and integers of its own, before the timer's header.
 */
#include <stdint.h>

#define DEADWALK_OWN_INTS
typedef uint64_t u64;

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

u64 pending(struct timer_list *timer)
{
	return timer_pending(timer) && list_empty(&own);
}
