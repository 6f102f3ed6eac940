/*
 * deadwalk: locks that are given back, and memory that is freed, where the variable's
 * scope ends.
 */
#ifndef DEADWALK_CLEANUP_H
#define DEADWALK_CLEANUP_H

#include <deadwalk/rwlock.h>
#include <deadwalk/slab.h>

#define __cleanup(function) __attribute__((__cleanup__(function)))

/* For a lock: guard(NAME)(lock) and scoped_guard(NAME, lock). */
#define DEADWALK_GUARD(name, type, take, give) \
	static __inline__ __attribute__((unused)) type *deadwalk_begin_##name(type *lock) \
	{ \
		take(lock); \
		return lock; \
	} \
	static __inline__ __attribute__((unused)) void deadwalk_end_##name(type **lock) \
	{ \
		if (*lock) \
			give(*lock); \
	} \
	typedef type *deadwalk_guard_##name __attribute__((unused))

DEADWALK_GUARD(spinlock, spinlock_t, spin_lock, spin_unlock);
DEADWALK_GUARD(spinlock_bh, spinlock_t, spin_lock, spin_unlock);
DEADWALK_GUARD(spinlock_irq, spinlock_t, spin_lock, spin_unlock);
DEADWALK_GUARD(spinlock_irqsave, spinlock_t, spin_lock, spin_unlock);
DEADWALK_GUARD(raw_spinlock, raw_spinlock_t, spin_lock, spin_unlock);
DEADWALK_GUARD(raw_spinlock_irqsave, raw_spinlock_t, spin_lock, spin_unlock);
DEADWALK_GUARD(read_lock, rwlock_t, read_lock, read_unlock);
DEADWALK_GUARD(write_lock, rwlock_t, write_lock, write_unlock);

#define DEADWALK_NAME(name, n) DEADWALK_NAME_(name, n)
#define DEADWALK_NAME_(name, n) name##n
#define DEADWALK_SCOPE(name, variable) \
	deadwalk_guard_##name variable \
		__attribute__((unused, __cleanup__(deadwalk_end_##name))) = deadwalk_begin_##name
#ifndef guard
#define guard(name) DEADWALK_SCOPE(name, DEADWALK_NAME(deadwalk_guard_, __COUNTER__))
#endif
#ifndef scoped_guard
#define scoped_guard(name, lock) \
	for (DEADWALK_SCOPE(name, deadwalk_scope_)(lock), *deadwalk_once_ = &deadwalk_scope_; \
	     deadwalk_once_; deadwalk_once_ = 0)
#endif

/* For memory: TYPE *p __free(kfree) = ..., and return no_free_ptr(p). */
static __inline__ __attribute__((unused)) void deadwalk_free_kfree(void *variable)
{
	kfree(*(void **)variable);
}
static __inline__ __attribute__((unused)) void deadwalk_free_kvfree(void *variable)
{
	kfree(*(void **)variable);
}
#ifndef __free
#define __free(function) __cleanup(deadwalk_free_##function)
#endif
#ifndef no_free_ptr
#define no_free_ptr(p) \
	(__extension__ ({ \
		__typeof__(p) deadwalk_kept_ = (p); \
		(p) = 0; \
		deadwalk_kept_; \
	}))
#define return_ptr(p) return no_free_ptr(p)
#define retain_and_null_ptr(p) ((void)no_free_ptr(p))
#endif

#endif
