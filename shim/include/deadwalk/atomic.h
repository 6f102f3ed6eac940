/*
 * deadwalk: the kernel's atomic integers. What returns a value is a full barrier.
 */
#ifndef DEADWALK_ATOMIC_H
#define DEADWALK_ATOMIC_H

typedef struct {
	volatile int counter;
} atomic_t;

#define ATOMIC_INIT(value) { (value) }

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

#endif
