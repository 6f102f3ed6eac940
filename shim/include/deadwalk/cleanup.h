/*
 * deadwalk: locks that are given back, and memory that is freed, where the variable's
 * scope ends.
 */
#ifndef DEADWALK_CLEANUP_H
#define DEADWALK_CLEANUP_H

#include <deadwalk/rwlock.h>
#include <deadwalk/slab.h>

#define __cleanup(function) __attribute__((__cleanup__(function)))

/* For a lock: guard(NAME)(lock) and scoped_guard(NAME, lock). `take` and `give` are
 * of _T, the lock; the type is a pointer's. */
#define DEADWALK_GUARD(name, type, take, give) \
	typedef type deadwalk_guard_##name __attribute__((unused)); \
	static __inline__ __attribute__((unused)) type deadwalk_begin_##name(type _T) \
	{ \
		take; \
		return _T; \
	} \
	static __inline__ __attribute__((unused)) void deadwalk_end_##name(type *lock) \
	{ \
		type _T = *lock; \
		if (_T) { \
			give; \
		} \
	}
#ifndef DEFINE_GUARD
#define DEFINE_GUARD(name, type, take, give) DEADWALK_GUARD(name, type, take, give)
#endif

/* Interrupts are nothing here: many names for one thing. */
DEADWALK_GUARD(spinlock, spinlock_t *, spin_lock(_T), spin_unlock(_T))
DEADWALK_GUARD(spinlock_bh, spinlock_t *, spin_lock(_T), spin_unlock(_T))
DEADWALK_GUARD(spinlock_irq, spinlock_t *, spin_lock(_T), spin_unlock(_T))
DEADWALK_GUARD(spinlock_irqsave, spinlock_t *, spin_lock(_T), spin_unlock(_T))
DEADWALK_GUARD(raw_spinlock, raw_spinlock_t *, spin_lock(_T), spin_unlock(_T))
DEADWALK_GUARD(raw_spinlock_irq, raw_spinlock_t *, spin_lock(_T), spin_unlock(_T))
DEADWALK_GUARD(raw_spinlock_irqsave, raw_spinlock_t *, spin_lock(_T), spin_unlock(_T))
DEADWALK_GUARD(read_lock, rwlock_t *, read_lock(_T), read_unlock(_T))
DEADWALK_GUARD(read_lock_irq, rwlock_t *, read_lock(_T), read_unlock(_T))
DEADWALK_GUARD(read_lock_irqsave, rwlock_t *, read_lock(_T), read_unlock(_T))
DEADWALK_GUARD(write_lock, rwlock_t *, write_lock(_T), write_unlock(_T))
DEADWALK_GUARD(write_lock_irq, rwlock_t *, write_lock(_T), write_unlock(_T))
DEADWALK_GUARD(write_lock_irqsave, rwlock_t *, write_lock(_T), write_unlock(_T))

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
#define DEADWALK_FREE(name, type, free) \
	static __inline__ __attribute__((unused)) void deadwalk_free_##name(void *variable) \
	{ \
		type _T = *(type *)variable; \
		free; \
	}
#ifndef DEFINE_FREE
#define DEFINE_FREE(name, type, free) DEADWALK_FREE(name, type, free)
#endif
DEADWALK_FREE(kfree, void *, kfree(_T))
DEADWALK_FREE(kvfree, void *, kvfree(_T))
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
