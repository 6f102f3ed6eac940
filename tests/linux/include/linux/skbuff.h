/*
 * Stub: packets and queues of packets, as protocols' timers make, queue and drop
 * them. A packet is one block of the watched heap, and so is its data.
 */
#ifndef STUB_SKBUFF_H
#define STUB_SKBUFF_H

#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

struct net_device;
struct sock;

struct sk_buff {
	struct sk_buff *next, *prev;
	struct sock *sk;
	struct net_device *dev;
	unsigned char *head, *data, *network_header;
	unsigned int len;
	unsigned short protocol;
	unsigned char pkt_type;
};

struct sk_buff_head {
	/* The ends of a ring, seen as a packet: first and in this order. */
	struct sk_buff *next, *prev;
	spinlock_t lock;
	unsigned int qlen;
};

static inline struct sk_buff *alloc_skb(unsigned int size, gfp_t gfp)
{
	struct sk_buff *skb = kzalloc(sizeof(*skb), gfp);

	if (!skb)
		return NULL;
	skb->head = skb->data = kzalloc(size, gfp);
	if (!skb->head) {
		kfree(skb);
		return NULL;
	}
	return skb;
}

static inline void kfree_skb(struct sk_buff *skb)
{
	if (!skb)
		return;
	kfree(skb->head);
	kfree(skb);
}

static inline void skb_reserve(struct sk_buff *skb, int headroom)
{
	skb->data += headroom;
}

static inline void *skb_put(struct sk_buff *skb, unsigned int size)
{
	skb->len += size;
	return skb->data + skb->len - size;
}

static inline void *skb_push(struct sk_buff *skb, unsigned int size)
{
	skb->len += size;
	return skb->data -= size;
}

static inline void *skb_pull(struct sk_buff *skb, unsigned int size)
{
	skb->len -= size;
	return skb->data += size;
}

static inline int pskb_may_pull(struct sk_buff *skb, unsigned int size)
{
	return size <= skb->len;
}

static inline void skb_reset_network_header(struct sk_buff *skb)
{
	skb->network_header = skb->data;
}

#define skb_reset_mac_header(skb) ((void)(skb))
#define skb_reset_transport_header(skb) ((void)(skb))
#define skb_set_owner_w(skb, owner) ((void)((skb)->sk = (owner)))

/* Of a packet with `headroom` unused bytes in front, and none behind. */
static inline struct sk_buff *skb_copy(const struct sk_buff *skb, gfp_t gfp)
{
	unsigned int headroom = skb->data - skb->head;
	struct sk_buff *copy = alloc_skb(headroom + skb->len, gfp);

	if (copy) {
		skb_reserve(copy, headroom);
		memcpy(skb_put(copy, skb->len), skb->data, skb->len);
		copy->sk = skb->sk;
		copy->dev = skb->dev;
	}
	return copy;
}
#define skb_clone(skb, gfp) skb_copy(skb, gfp)

static inline void skb_queue_head_init(struct sk_buff_head *queue)
{
	spin_lock_init(&queue->lock);
	queue->next = queue->prev = (struct sk_buff *)queue;
	queue->qlen = 0;
}

static inline struct sk_buff *skb_peek(const struct sk_buff_head *queue)
{
	return queue->next == (struct sk_buff *)queue ? NULL : queue->next;
}
#define skb_queue_empty(queue) (!skb_peek(queue))
#define skb_queue_len(queue) ((queue)->qlen)

/* The queue's lock is held, here and in the next. */
static inline void __skb_insert(struct sk_buff *skb, struct sk_buff *prev,
				struct sk_buff_head *queue)
{
	skb->prev = prev;
	skb->next = prev->next;
	prev->next->prev = skb;
	prev->next = skb;
	queue->qlen++;
}

static inline struct sk_buff *__skb_take(struct sk_buff *skb, struct sk_buff_head *queue)
{
	if (skb == (struct sk_buff *)queue)
		return NULL;
	skb->prev->next = skb->next;
	skb->next->prev = skb->prev;
	skb->next = skb->prev = NULL;
	queue->qlen--;
	return skb;
}

static inline void skb_queue_head(struct sk_buff_head *queue, struct sk_buff *skb)
{
	spin_lock(&queue->lock);
	__skb_insert(skb, (struct sk_buff *)queue, queue);
	spin_unlock(&queue->lock);
}

static inline void skb_queue_tail(struct sk_buff_head *queue, struct sk_buff *skb)
{
	spin_lock(&queue->lock);
	__skb_insert(skb, queue->prev, queue);
	spin_unlock(&queue->lock);
}

static inline void skb_append(struct sk_buff *old, struct sk_buff *skb,
			      struct sk_buff_head *queue)
{
	spin_lock(&queue->lock);
	__skb_insert(skb, old, queue);
	spin_unlock(&queue->lock);
}

static inline struct sk_buff *skb_dequeue(struct sk_buff_head *queue)
{
	struct sk_buff *skb;

	spin_lock(&queue->lock);
	skb = __skb_take(queue->next, queue);
	spin_unlock(&queue->lock);
	return skb;
}

static inline struct sk_buff *skb_dequeue_tail(struct sk_buff_head *queue)
{
	struct sk_buff *skb;

	spin_lock(&queue->lock);
	skb = __skb_take(queue->prev, queue);
	spin_unlock(&queue->lock);
	return skb;
}

static inline void skb_queue_purge(struct sk_buff_head *queue)
{
	struct sk_buff *skb;

	while ((skb = skb_dequeue(queue)) != NULL)
		kfree_skb(skb);
}

#endif
