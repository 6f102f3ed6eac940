/*
 * deadwalk: `struct list_head`, the type alone, and container_of.
 *
 * A program that brings a list.h of its own includes it first (it is known by
 * the LIST_HEAD_INIT that every one of them has), or defines
 * DEADWALK_OWN_LIST_HEAD and sees to the type itself: two pointers, next first.
 */
#ifndef DEADWALK_LIST_HEAD_H
#define DEADWALK_LIST_HEAD_H

#include <stddef.h>

#if !defined(_LINUX_LIST_H) && !defined(LIST_HEAD_INIT) && !defined(DEADWALK_OWN_LIST_HEAD)
#define DEADWALK_LIST_HEAD 1
struct list_head {
	struct list_head *next, *prev;
};
#endif

#ifndef container_of
#ifdef __cplusplus
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#else
/* The 0 * sizeof: a pointer of another type than the member's is warned of. */
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member) \
		  + 0 * sizeof((ptr) == &((type *)0)->member)))
#endif
#endif

/* An initialiser of 2.4 for a list_head that is in no list. */
#ifndef LIST_HEAD_INIT_NULL
#define LIST_HEAD_INIT_NULL { 0, 0 }
#endif

#endif
