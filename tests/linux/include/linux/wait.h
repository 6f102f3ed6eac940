/*
 * Stub: wait queues. A waiter looks again every millisecond; to wake a queue
 * takes its lock, as in the kernel, so that one in freed memory is touched.
 */
#ifndef STUB_WAIT_H
#define STUB_WAIT_H

#include <linux/delay.h>
#include <linux/spinlock.h>

typedef struct {
	spinlock_t lock;
	unsigned int woken;
} wait_queue_head_t;

static inline void init_waitqueue_head(wait_queue_head_t *queue)
{
	spin_lock_init(&queue->lock);
	queue->woken = 0;
}

static inline void wake_up(wait_queue_head_t *queue)
{
	spin_lock(&queue->lock);
	queue->woken++;
	spin_unlock(&queue->lock);
}
#define wake_up_interruptible(queue) wake_up(queue)

#define wait_event(queue, condition) \
	do { \
		(void)&(queue); \
		while (!(condition)) \
			msleep(1); \
	} while (0)
#define wait_event_interruptible(queue, condition) \
	({ \
		wait_event(queue, condition); \
		0; \
	})

#endif
