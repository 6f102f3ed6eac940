/*
 * deadwalk: circular doubly linked lists, as the kernel's <linux/list.h> has
 * them.
 *
 * Defines nothing where the program has included such a header of its own; and
 * the kernel's include guard, so that a copy of the kernel's list.h that comes
 * later adds nothing either. <sys/queue.h> has a LIST_HEAD of its own, with two
 * arguments: it is included first, and both forms work.
 */
#ifndef DEADWALK_LIST_H
#define DEADWALK_LIST_H

#include <deadwalk/list_head.h>

#if defined(DEADWALK_LIST_HEAD) && !defined(_LINUX_LIST_H) && !defined(LIST_HEAD_INIT)
#define _LINUX_LIST_H 1

#include <sys/queue.h>

#define LIST_HEAD_INIT(name) { &(name), &(name) }

#undef LIST_HEAD
#define LIST_HEAD(...) \
	DEADWALK_LIST_FORM(__VA_ARGS__, DEADWALK_LIST_BSD, DEADWALK_LIST_KERNEL, ~)(__VA_ARGS__)
#define DEADWALK_LIST_FORM(a, b, form, ...) form
#define DEADWALK_LIST_KERNEL(name) struct list_head name = LIST_HEAD_INIT(name)
#define DEADWALK_LIST_BSD(name, type) \
	struct name { \
		struct type *lh_first; \
	}

/* Next and prev of an entry that was deleted from a list. */
#define LIST_POISON1 ((struct list_head *)0xdead000000000100UL)
#define LIST_POISON2 ((struct list_head *)0xdead000000000122UL)

static __inline__ void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static __inline__ void deadwalk_list_link(struct list_head *entry, struct list_head *prev,
					  struct list_head *next)
{
	next->prev = entry;
	entry->next = next;
	entry->prev = prev;
	prev->next = entry;
}

static __inline__ void deadwalk_list_unlink(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
}

static __inline__ void list_add(struct list_head *entry, struct list_head *head)
{
	deadwalk_list_link(entry, head, head->next);
}

static __inline__ void list_add_tail(struct list_head *entry, struct list_head *head)
{
	deadwalk_list_link(entry, head->prev, head);
}

static __inline__ void list_del(struct list_head *entry)
{
	deadwalk_list_unlink(entry);
	entry->next = LIST_POISON1;
	entry->prev = LIST_POISON2;
}

static __inline__ void list_del_init(struct list_head *entry)
{
	deadwalk_list_unlink(entry);
	INIT_LIST_HEAD(entry);
}

static __inline__ void list_move(struct list_head *entry, struct list_head *head)
{
	deadwalk_list_unlink(entry);
	list_add(entry, head);
}

static __inline__ void list_move_tail(struct list_head *entry, struct list_head *head)
{
	deadwalk_list_unlink(entry);
	list_add_tail(entry, head);
}

static __inline__ void __list_del_entry(struct list_head *entry)
{
	deadwalk_list_unlink(entry);
}

static __inline__ void list_replace(struct list_head *old, struct list_head *entry)
{
	deadwalk_list_link(entry, old->prev, old->next);
}

static __inline__ void list_replace_init(struct list_head *old, struct list_head *entry)
{
	list_replace(old, entry);
	INIT_LIST_HEAD(old);
}

static __inline__ int list_empty(const struct list_head *head)
{
	return head->next == head;
}

static __inline__ int list_empty_careful(const struct list_head *head)
{
	return head->next == head && head->prev == head;
}

static __inline__ int list_is_singular(const struct list_head *head)
{
	return !list_empty(head) && head->next == head->prev;
}

static __inline__ int list_is_first(const struct list_head *entry, const struct list_head *head)
{
	return entry->prev == head;
}

static __inline__ int list_is_last(const struct list_head *entry, const struct list_head *head)
{
	return entry->next == head;
}

static __inline__ int list_is_head(const struct list_head *entry, const struct list_head *head)
{
	return entry == head;
}

static __inline__ void list_rotate_left(struct list_head *head)
{
	if (!list_empty(head))
		list_move_tail(head->next, head);
}

/* All of `list`, which is not empty, between prev and next. */
static __inline__ void deadwalk_list_link_all(struct list_head *list, struct list_head *prev,
					      struct list_head *next)
{
	list->next->prev = prev;
	list->prev->next = next;
	prev->next = list->next;
	next->prev = list->prev;
}

static __inline__ void list_splice(struct list_head *list, struct list_head *head)
{
	if (!list_empty(list))
		deadwalk_list_link_all(list, head, head->next);
}

static __inline__ void list_splice_tail(struct list_head *list, struct list_head *head)
{
	if (!list_empty(list))
		deadwalk_list_link_all(list, head->prev, head);
}

static __inline__ void list_splice_init(struct list_head *list, struct list_head *head)
{
	list_splice(list, head);
	INIT_LIST_HEAD(list);
}

static __inline__ void list_splice_tail_init(struct list_head *list, struct list_head *head)
{
	list_splice_tail(list, head);
	INIT_LIST_HEAD(list);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_last_entry(head, type, member) list_entry((head)->prev, type, member)
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? (type *)0 : list_first_entry(head, type, member))
#define list_next_entry(pos, member) list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_prev_entry(pos, member) list_entry((pos)->member.prev, __typeof__(*(pos)), member)
#define list_entry_is_head(pos, head, member) (&(pos)->member == (head))

#define list_for_each(pos, head) \
	for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

#define list_for_each_prev(pos, head) \
	for ((pos) = (head)->prev; (pos) != (head); (pos) = (pos)->prev)

#define list_for_each_safe(pos, n, head) \
	for ((pos) = (head)->next, (n) = (pos)->next; (pos) != (head); \
	     (pos) = (n), (n) = (pos)->next)

#define list_for_each_prev_safe(pos, n, head) \
	for ((pos) = (head)->prev, (n) = (pos)->prev; (pos) != (head); \
	     (pos) = (n), (n) = (pos)->prev)

/* On from pos itself, or from the one behind it. */
#define list_for_each_entry_from(pos, head, member) \
	for (; !list_entry_is_head(pos, head, member); (pos) = list_next_entry(pos, member))

#define list_for_each_entry_continue(pos, head, member) \
	for ((pos) = list_next_entry(pos, member); !list_entry_is_head(pos, head, member); \
	     (pos) = list_next_entry(pos, member))

#define list_for_each_entry_continue_reverse(pos, head, member) \
	for ((pos) = list_prev_entry(pos, member); !list_entry_is_head(pos, head, member); \
	     (pos) = list_prev_entry(pos, member))

#define list_for_each_entry(pos, head, member) \
	for ((pos) = list_first_entry(head, __typeof__(*(pos)), member); \
	     !list_entry_is_head(pos, head, member); (pos) = list_next_entry(pos, member))

#define list_for_each_entry_reverse(pos, head, member) \
	for ((pos) = list_last_entry(head, __typeof__(*(pos)), member); \
	     !list_entry_is_head(pos, head, member); (pos) = list_prev_entry(pos, member))

#define list_for_each_entry_safe(pos, n, head, member) \
	for ((pos) = list_first_entry(head, __typeof__(*(pos)), member), \
	     (n) = list_next_entry(pos, member); \
	     !list_entry_is_head(pos, head, member); \
	     (pos) = (n), (n) = list_next_entry(n, member))

#define list_for_each_entry_safe_reverse(pos, n, head, member) \
	for ((pos) = list_last_entry(head, __typeof__(*(pos)), member), \
	     (n) = list_prev_entry(pos, member); \
	     !list_entry_is_head(pos, head, member); \
	     (pos) = (n), (n) = list_prev_entry(n, member))

#include <deadwalk/hlist.h>

#endif /* no list.h of the program's own */
#endif
