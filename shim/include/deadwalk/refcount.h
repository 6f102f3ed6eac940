/*
 * deadwalk: reference counts. One that overflows, is taken from 0 or goes below it
 * saturates: it says so on stderr, once in each place, and the object is never freed.
 */
#ifndef DEADWALK_REFCOUNT_H
#define DEADWALK_REFCOUNT_H

#include <deadwalk/bug.h>

typedef struct refcount_struct {
	volatile int refs;
} refcount_t;

#define REFCOUNT_INIT(n) { (n) }
#define REFCOUNT_MAX 0x7fffffff
/* Far from 0 and from where it would become positive again. */
#define REFCOUNT_SATURATED ((int)0xc0000000)

/* Where a count is used; `told` is the place's own. */
struct deadwalk_place {
	const char *file, *function;
	int line;
	int told;
};

static __inline__ void deadwalk_refcount_spoilt(refcount_t *r, struct deadwalk_place *place,
						const char *why)
{
	__atomic_store_n(&r->refs, REFCOUNT_SATURATED, __ATOMIC_RELAXED);
	if (!__atomic_exchange_n(&place->told, 1, __ATOMIC_RELAXED))
		fprintf(stderr, "WARNING: at %s:%d %s(): refcount %s\n", place->file, place->line,
			place->function, why);
}

static __inline__ int deadwalk_refcount_add(int n, refcount_t *r, struct deadwalk_place *place)
{
	int old = __atomic_fetch_add(&r->refs, n, __ATOMIC_RELAXED);

	if (unlikely(!old))
		deadwalk_refcount_spoilt(r, place, "taken from 0");
	else if (unlikely(old < 0 || old > REFCOUNT_MAX - n))
		deadwalk_refcount_spoilt(r, place, "saturated");
	return old;
}

/* Did `n` more references live? Takes none from 0. */
static __inline__ int deadwalk_refcount_add_not_zero(int n, refcount_t *r,
						     struct deadwalk_place *place)
{
	int old = __atomic_load_n(&r->refs, __ATOMIC_RELAXED);

	do {
		if (!old)
			return 0;
	} while (!__atomic_compare_exchange_n(&r->refs, &old, (int)((unsigned int)old + n), 1,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	if (unlikely(old < 0 || old > REFCOUNT_MAX - n))
		deadwalk_refcount_spoilt(r, place, "saturated");
	return 1;
}

/* Were these the last? */
static __inline__ int deadwalk_refcount_sub_and_test(int n, refcount_t *r,
						     struct deadwalk_place *place)
{
	int old = __atomic_fetch_sub(&r->refs, n, __ATOMIC_RELEASE);

	if (old > 0 && old == n) {
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		return 1;
	}
	if (unlikely(old <= 0 || old < n))
		deadwalk_refcount_spoilt(r, place, "below 0");
	return 0;
}

/* For counts that are known not to reach 0. */
static __inline__ void deadwalk_refcount_dec(refcount_t *r, struct deadwalk_place *place)
{
	if (unlikely(__atomic_fetch_sub(&r->refs, 1, __ATOMIC_RELEASE) <= 1))
		deadwalk_refcount_spoilt(r, place, "put by refcount_dec was the last");
}

/* From `old` to `old` - 1, or nothing. */
static __inline__ int deadwalk_refcount_dec_if(refcount_t *r, int old)
{
	return __atomic_compare_exchange_n(&r->refs, &old, old - 1, 0, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/* Puts one reference if it is not the last. */
static __inline__ int deadwalk_refcount_dec_not_one(refcount_t *r, struct deadwalk_place *place)
{
	int old = __atomic_load_n(&r->refs, __ATOMIC_RELAXED);

	do {
		if (old == 1)
			return 0;
		if (unlikely(old <= 0)) {
			deadwalk_refcount_spoilt(r, place, "below 0");
			return 1;
		}
	} while (!__atomic_compare_exchange_n(&r->refs, &old, old - 1, 1, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	return 1;
}

#define DEADWALK_PLACE \
	(__extension__ ({ \
		static struct deadwalk_place deadwalk_place_; \
		deadwalk_place_.file = __FILE__; \
		deadwalk_place_.function = __func__; \
		deadwalk_place_.line = __LINE__; \
		&deadwalk_place_; \
	}))

#define refcount_set(r, n) __atomic_store_n(&(r)->refs, n, __ATOMIC_RELAXED)
#define refcount_read(r) ((unsigned int)__atomic_load_n(&(r)->refs, __ATOMIC_RELAXED))
#define refcount_add(n, r) ((void)deadwalk_refcount_add(n, r, DEADWALK_PLACE))
#define refcount_inc(r) refcount_add(1, r)
#define refcount_add_not_zero(n, r) deadwalk_refcount_add_not_zero(n, r, DEADWALK_PLACE)
#define refcount_inc_not_zero(r) refcount_add_not_zero(1, r)
#define refcount_sub_and_test(n, r) deadwalk_refcount_sub_and_test(n, r, DEADWALK_PLACE)
#define refcount_dec_and_test(r) refcount_sub_and_test(1, r)
#define refcount_dec(r) deadwalk_refcount_dec(r, DEADWALK_PLACE)
#define refcount_dec_if_one(r) deadwalk_refcount_dec_if(r, 1)
#define refcount_dec_not_one(r) deadwalk_refcount_dec_not_one(r, DEADWALK_PLACE)

/* With the lock if the last reference is gone. */
#define DEADWALK_REFCOUNT_LAST(r, take, give) \
	(refcount_dec_not_one(r) ? 0 \
				 : (take, refcount_dec_and_test(r) ? 1 : (give, 0)))
#define refcount_dec_and_lock(r, lock) \
	DEADWALK_REFCOUNT_LAST(r, spin_lock(lock), spin_unlock(lock))
#define refcount_dec_and_lock_irqsave(r, lock, flags) \
	(*(flags) = deadwalk_save_flags(), refcount_dec_and_lock(r, lock))

#endif
