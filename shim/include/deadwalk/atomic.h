/*
 * deadwalk: the kernel's atomic integers. What returns a value is a full barrier.
 */
#ifndef DEADWALK_ATOMIC_H
#define DEADWALK_ATOMIC_H

#include <deadwalk/atomic_types.h>

#ifndef atomic_read
#define atomic_read(v) __atomic_load_n(&(v)->counter, __ATOMIC_RELAXED)
#endif
#ifndef atomic_set
#define atomic_set(v, value) __atomic_store_n(&(v)->counter, value, __ATOMIC_RELAXED)
#endif

#define atomic_add_return(n, v) __sync_add_and_fetch(&(v)->counter, n)
#define atomic_sub_return(n, v) __sync_sub_and_fetch(&(v)->counter, n)
#define atomic_inc_return(v) atomic_add_return(1, v)
#define atomic_dec_return(v) atomic_sub_return(1, v)
#define atomic_add(n, v) ((void)atomic_add_return(n, v))
#define atomic_sub(n, v) ((void)atomic_sub_return(n, v))
#define atomic_inc(v) atomic_add(1, v)
#define atomic_dec(v) atomic_sub(1, v)
#define atomic_sub_and_test(n, v) (atomic_sub_return(n, v) == 0)
#define atomic_dec_and_test(v) (atomic_dec_return(v) == 0)
#define atomic_inc_and_test(v) (atomic_inc_return(v) == 0)
#define atomic_add_negative(n, v) (atomic_add_return(n, v) < 0)
#define atomic_xchg(v, value) __atomic_exchange_n(&(v)->counter, value, __ATOMIC_SEQ_CST)
#define atomic_cmpxchg(v, old, value) __sync_val_compare_and_swap(&(v)->counter, old, value)
#define atomic_try_cmpxchg(v, old, value) \
	__atomic_compare_exchange_n(&(v)->counter, old, value, 0, __ATOMIC_SEQ_CST, \
				    __ATOMIC_SEQ_CST)
#define atomic_read_acquire(v) __atomic_load_n(&(v)->counter, __ATOMIC_ACQUIRE)
#define atomic_set_release(v, value) __atomic_store_n(&(v)->counter, value, __ATOMIC_RELEASE)
#define atomic_fetch_inc(v) __sync_fetch_and_add(&(v)->counter, 1)
#define atomic_fetch_dec(v) __sync_fetch_and_sub(&(v)->counter, 1)
#define atomic_fetch_andnot(mask, v) __sync_fetch_and_and(&(v)->counter, ~(mask))
#define atomic_or(mask, v) ((void)__sync_fetch_and_or(&(v)->counter, mask))
#define atomic_and(mask, v) ((void)__sync_fetch_and_and(&(v)->counter, mask))
#define atomic_andnot(mask, v) ((void)atomic_fetch_andnot(mask, v))
/* Names of <stdatomic.h> too, with other arguments: a program that includes it has
 * those. In C++ they are functions of its library's. */
#if !defined(__cplusplus) && !defined(atomic_fetch_add)
#define atomic_fetch_add(n, v) __sync_fetch_and_add(&(v)->counter, n)
#define atomic_fetch_sub(n, v) __sync_fetch_and_sub(&(v)->counter, n)
#define atomic_fetch_or(mask, v) __sync_fetch_and_or(&(v)->counter, mask)
#define atomic_fetch_and(mask, v) __sync_fetch_and_and(&(v)->counter, mask)
#endif
#define atomic_set_mask(mask, v) atomic_or(mask, v)
#define atomic_clear_mask(mask, v) atomic_andnot(mask, v)

/* Adds unless the value is `but`; the value before. */
static __inline__ int deadwalk_atomic_add_unless(volatile int *counter, int n, int but)
{
	int old = __atomic_load_n(counter, __ATOMIC_RELAXED);

	while (old != but
	       && !__atomic_compare_exchange_n(counter, &old, (int)((unsigned int)old + n), 0,
					       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	return old;
}
#define atomic_fetch_add_unless(v, n, but) deadwalk_atomic_add_unless(&(v)->counter, n, but)
#define atomic_add_unless(v, n, but) (atomic_fetch_add_unless(v, n, but) != (but))
#define atomic_inc_not_zero(v) atomic_add_unless(v, 1, 0)
#define atomic_dec_and_lock(v, lock) \
	(atomic_add_unless(v, -1, 1) \
		 ? 0 \
		 : (spin_lock(lock), atomic_dec_and_test(v) ? 1 : (spin_unlock(lock), 0)))

#define atomic64_read(v) atomic_read(v)
#define atomic64_set(v, value) atomic_set(v, value)
#define atomic64_add(n, v) atomic_add(n, v)
#define atomic64_sub(n, v) atomic_sub(n, v)
#define atomic64_inc(v) atomic_inc(v)
#define atomic64_dec(v) atomic_dec(v)
#define atomic64_add_return(n, v) atomic_add_return(n, v)
#define atomic64_inc_return(v) atomic_inc_return(v)
#define atomic64_dec_and_test(v) atomic_dec_and_test(v)
#define atomic_long_read(v) atomic_read(v)
#define atomic_long_set(v, value) atomic_set(v, value)
#define atomic_long_add(n, v) atomic_add(n, v)
#define atomic_long_inc(v) atomic_inc(v)
#define atomic_long_dec(v) atomic_dec(v)

#define smp_mb__before_atomic() __sync_synchronize()
#define smp_mb__after_atomic() __sync_synchronize()
#define smp_mb__before_atomic_inc() __sync_synchronize()
#define smp_mb__after_atomic_inc() __sync_synchronize()
#define smp_mb__before_atomic_dec() __sync_synchronize()
#define smp_mb__after_atomic_dec() __sync_synchronize()

#ifndef xchg
#define xchg(p, value) __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST)
#endif
#ifndef cmpxchg
#define cmpxchg(p, old, value) __sync_val_compare_and_swap(p, old, value)
#endif

#endif
