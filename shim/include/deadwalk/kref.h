/*
 * deadwalk: reference counts that know what to do with the last one.
 */
#ifndef DEADWALK_KREF_H
#define DEADWALK_KREF_H

#include <deadwalk/refcount.h>

struct kref {
	refcount_t refcount;
};

#define KREF_INIT(n) { REFCOUNT_INIT(n) }
#define kref_init(kref) refcount_set(&(kref)->refcount, 1)
#define kref_read(kref) refcount_read(&(kref)->refcount)
#define kref_get(kref) refcount_inc(&(kref)->refcount)
#define kref_get_unless_zero(kref) refcount_inc_not_zero(&(kref)->refcount)

/* 1 if it called `release`. */
#define kref_put(kref, release) deadwalk_kref_put(kref, release, DEADWALK_PLACE)

static __inline__ int deadwalk_kref_put(struct kref *kref, void (*release)(struct kref *),
					struct deadwalk_place *place)
{
	int is_last = deadwalk_refcount_sub_and_test(1, &kref->refcount, place);

	if (is_last)
		release(kref);
	return is_last;
}

#endif
