/*
 * Lists, walked in every way: `order` is what was met, as digits.
 */
#include <linux/kernel.h>
#include <linux/list.h>
#include "kernel_check.h"

struct entry {
	int id;
	struct list_head list;
	struct hlist_node node;
};

static struct entry entries[10];
static unsigned long order;

static void fill(struct list_head *head, int from, int to)
{
	INIT_LIST_HEAD(head);
	for (; from <= to; from++) {
		entries[from].id = from;
		list_add_tail(&entries[from].list, head);
	}
}

static unsigned long ids(struct list_head *head)
{
	struct entry *pos;
	unsigned long forth = 0, back = 0, scale = 1;

	list_for_each_entry(pos, head, list)
		forth = forth * 10 + pos->id;
	list_for_each_entry_reverse(pos, head, list) {
		back += pos->id * scale;
		scale *= 10;
	}
	CHECK(forth == back);
	return forth;
}

static void met(int id)
{
	order = order * 10 + id;
}

#define ORDER(loop, statement) (__extension__ ({ order = 0; loop statement; order; }))

static void walks(void)
{
	struct list_head *pos, *after;
	struct entry *entry, *next;
	LIST_HEAD(head);

	fill(&head, 1, 4);
	CHECK(ORDER(list_for_each(pos, &head), met(list_entry(pos, struct entry, list)->id)) == 1234);
	CHECK(ORDER(list_for_each_prev(pos, &head), met(list_entry(pos, struct entry, list)->id)) == 4321);
	entry = &entries[2];
	CHECK(ORDER(list_for_each_entry_continue(entry, &head, list), met(entry->id)) == 34);
	entry = &entries[2];
	CHECK(ORDER(list_for_each_entry_from(entry, &head, list), met(entry->id)) == 234);
	entry = &entries[3];
	CHECK(ORDER(list_for_each_entry_continue_reverse(entry, &head, list), met(entry->id)) == 21);
	CHECK(ORDER(list_for_each_entry_safe_reverse(entry, next, &head, list),
		    { met(entry->id); list_del(&entry->list); }) == 4321);
	CHECK(list_empty(&head));
	fill(&head, 1, 3);
	CHECK(ORDER(list_for_each_prev_safe(pos, after, &head), { met(1); list_del(pos); }) == 111);
	fill(&head, 1, 3);
	CHECK(ORDER(list_for_each_safe(pos, after, &head), { met(1); list_del_init(pos); }) == 111);
	fill(&head, 1, 3);
	CHECK(ORDER(list_for_each_entry_safe(entry, next, &head, list), list_del(&entry->list)) == 0);
	CHECK(list_empty_careful(&head));
}

static void places(void)
{
	struct entry *first;
	LIST_HEAD(head);

	CHECK(!list_first_entry_or_null(&head, struct entry, list) && !list_is_singular(&head));
	fill(&head, 1, 3);
	first = list_first_entry(&head, struct entry, list);
	CHECK(first->id == 1 && list_last_entry(&head, struct entry, list)->id == 3);
	CHECK(list_first_entry_or_null(&head, struct entry, list) == first);
	CHECK(list_next_entry(first, list)->id == 2 && list_prev_entry(&entries[3], list)->id == 2);
	CHECK(list_is_first(&first->list, &head) && !list_is_last(&first->list, &head));
	CHECK(list_is_last(&entries[3].list, &head) && list_is_head(&head, &head));
	list_rotate_left(&head);
	CHECK(ids(&head) == 231);
	__list_del_entry(&entries[3].list);
	CHECK(ids(&head) == 21);
	list_del(&entries[2].list);
	CHECK(list_is_singular(&head));
}

static void moves(void)
{
	LIST_HEAD(head);
	LIST_HEAD(other);

	fill(&head, 1, 3);
	list_move(&entries[3].list, &head);
	list_move_tail(&entries[1].list, &head);
	CHECK(ids(&head) == 321);
	entries[9].id = 9;
	list_replace(&entries[2].list, &entries[9].list);
	CHECK(ids(&head) == 391);
	list_replace_init(&entries[9].list, &entries[2].list);
	CHECK(ids(&head) == 321 && list_empty(&entries[9].list));
	fill(&other, 4, 5);
	list_splice(&other, &head);
	CHECK(ids(&head) == 45321);
	fill(&other, 6, 7);
	list_splice_tail(&other, &head);
	CHECK(ids(&head) == 4532167);
	fill(&head, 1, 2);
	fill(&other, 3, 4);
	list_splice_init(&other, &head);
	CHECK(ids(&head) == 3412 && list_empty(&other));
	fill(&other, 5, 6);
	list_splice_tail_init(&other, &head);
	list_splice_tail_init(&other, &head);
	CHECK(ids(&head) == 341256 && list_empty(&other));
}

static void hash_chains(void)
{
	HLIST_HEAD(head);
	struct entry *entry;
	struct hlist_node *pos, *next;
	int i;

	for (i = 1; i <= 4; i++) {
		entries[i].id = i;
		INIT_HLIST_NODE(&entries[i].node);
	}
	CHECK(hlist_empty(&head) && hlist_unhashed(&entries[1].node));
	hlist_add_head(&entries[2].node, &head);
	hlist_add_before(&entries[1].node, &entries[2].node);
	hlist_add_behind(&entries[4].node, &entries[2].node);
	hlist_add_behind(&entries[3].node, &entries[2].node);
	CHECK(!hlist_unhashed(&entries[1].node));
	CHECK(ORDER(hlist_for_each_entry(entry, &head, node), met(entry->id)) == 1234);
	CHECK(ORDER(hlist_for_each_entry(entry, pos, &head, node), met(entry->id)) == 1234);
	CHECK(ORDER(hlist_for_each(pos, &head), met(hlist_entry(pos, struct entry, node)->id)) == 1234);
	hlist_del_init(&entries[1].node);
	hlist_del_init(&entries[1].node);
	hlist_del(&entries[4].node);
	CHECK(ORDER(hlist_for_each_safe(pos, next, &head), { met(1); hlist_del(pos); }) == 11);
	for (i = 4; i; i--)
		hlist_add_head(&entries[i].node, &head);
	CHECK(ORDER(hlist_for_each_entry_safe(entry, next, &head, node),
		    { met(entry->id); if (entry->id % 2) hlist_del(&entry->node); }) == 1234);
	CHECK(ORDER(hlist_for_each_entry_safe(entry, pos, next, &head, node),
		    { met(entry->id); hlist_del(pos); }) == 24);
	CHECK(hlist_empty(&head));
	INIT_HLIST_HEAD(&head);
}

int main(void)
{
	walks();
	places();
	moves();
	hash_chains();
	return wrong;
}
