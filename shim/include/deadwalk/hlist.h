/*
 * deadwalk: doubly linked lists whose head is one pointer, for hash tables.
 * Included by list.h, which knows whether the program has its own.
 */
#ifndef DEADWALK_HLIST_H
#define DEADWALK_HLIST_H

#include <deadwalk/list_head.h>

struct hlist_node {
	struct hlist_node *next;
	struct hlist_node **pprev; /* what points here: a head or a next */
};
struct hlist_head {
	struct hlist_node *first;
};

#define HLIST_HEAD_INIT { 0 }
#define HLIST_HEAD(name) struct hlist_head name = HLIST_HEAD_INIT
#define INIT_HLIST_HEAD(head) ((void)((head)->first = 0))

static __inline__ void INIT_HLIST_NODE(struct hlist_node *node)
{
	node->next = 0;
	node->pprev = 0;
}

static __inline__ int hlist_unhashed(const struct hlist_node *node)
{
	return !node->pprev;
}

static __inline__ int hlist_empty(const struct hlist_head *head)
{
	return !head->first;
}

static __inline__ void deadwalk_hlist_link(struct hlist_node *node, struct hlist_node **place)
{
	node->next = *place;
	node->pprev = place;
	if (node->next)
		node->next->pprev = &node->next;
	*place = node;
}

static __inline__ void deadwalk_hlist_unlink(struct hlist_node *node)
{
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
}

static __inline__ void hlist_add_head(struct hlist_node *node, struct hlist_head *head)
{
	deadwalk_hlist_link(node, &head->first);
}

static __inline__ void hlist_add_before(struct hlist_node *node, struct hlist_node *next)
{
	deadwalk_hlist_link(node, next->pprev);
}

static __inline__ void hlist_add_behind(struct hlist_node *node, struct hlist_node *prev)
{
	deadwalk_hlist_link(node, &prev->next);
}

static __inline__ void hlist_del(struct hlist_node *node)
{
	deadwalk_hlist_unlink(node);
	node->next = (struct hlist_node *)0xdead000000000100UL;
	node->pprev = (struct hlist_node **)0xdead000000000122UL;
}

static __inline__ void hlist_del_init(struct hlist_node *node)
{
	if (!hlist_unhashed(node)) {
		deadwalk_hlist_unlink(node);
		INIT_HLIST_NODE(node);
	}
}

#define hlist_entry(ptr, type, member) container_of(ptr, type, member)
#define hlist_entry_safe(ptr, type, member) ((ptr) ? hlist_entry(ptr, type, member) : (type *)0)

#define hlist_for_each(pos, head) for ((pos) = (head)->first; (pos); (pos) = (pos)->next)
#define hlist_for_each_safe(pos, n, head) \
	for ((pos) = (head)->first; (pos) && ((n) = (pos)->next, 1); (pos) = (n))

/* The form of a macro, by how many arguments it is given: 3 to 5. */
#define DEADWALK_HLIST_FORM(a, b, c, d, e, form, ...) form
#define DEADWALK_HLIST_ENTRY(pos, node, member) \
	hlist_entry(node, __typeof__(*(pos)), member)
#define DEADWALK_HLIST_ENTRY_SAFE(pos, node, member) \
	hlist_entry_safe(node, __typeof__(*(pos)), member)

/* hlist_for_each_entry(pos, node, head, member) to 3.8, without node after. */
#define hlist_for_each_entry(...) \
	DEADWALK_HLIST_FORM(__VA_ARGS__, DEADWALK_NO_SUCH_FORM, DEADWALK_HLIST_EACH_NODE, \
			    DEADWALK_HLIST_EACH, ~, ~)(__VA_ARGS__)
#define DEADWALK_HLIST_EACH_NODE(pos, node, head, member) \
	for ((node) = (head)->first; \
	     (node) && ((pos) = DEADWALK_HLIST_ENTRY(pos, node, member), 1); \
	     (node) = (node)->next)
#define DEADWALK_HLIST_EACH(pos, head, member) \
	for ((pos) = DEADWALK_HLIST_ENTRY_SAFE(pos, (head)->first, member); (pos); \
	     (pos) = DEADWALK_HLIST_ENTRY_SAFE(pos, (pos)->member.next, member))

/* hlist_for_each_entry_safe(pos, node, n, head, member), the same. */
#define hlist_for_each_entry_safe(...) \
	DEADWALK_HLIST_FORM(__VA_ARGS__, DEADWALK_HLIST_EACH_NODE_SAFE, \
			    DEADWALK_HLIST_EACH_SAFE, DEADWALK_NO_SUCH_FORM, ~, ~)(__VA_ARGS__)
#define DEADWALK_HLIST_EACH_NODE_SAFE(pos, node, n, head, member) \
	for ((node) = (head)->first; \
	     (node) && ((n) = (node)->next, \
			(pos) = DEADWALK_HLIST_ENTRY(pos, node, member), 1); \
	     (node) = (n))
#define DEADWALK_HLIST_EACH_SAFE(pos, n, head, member) \
	for ((pos) = DEADWALK_HLIST_ENTRY_SAFE(pos, (head)->first, member); \
	     (pos) && ((n) = (pos)->member.next, 1); \
	     (pos) = DEADWALK_HLIST_ENTRY_SAFE(pos, n, member))

#endif
