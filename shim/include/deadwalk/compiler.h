/*
 * deadwalk: what kernel-style code says to the compiler: hints, annotations,
 * single accesses, barriers.
 */
#ifndef DEADWALK_COMPILER_H
#define DEADWALK_COMPILER_H

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

/* Of these pointers only sparse knows. */
#ifndef __user
#define __user
#endif
#ifndef __kernel
#define __kernel
#endif
#ifndef __iomem
#define __iomem
#endif
#ifndef __percpu
#define __percpu
#endif
#ifndef __rcu
#define __rcu
#endif
#ifndef __force
#define __force
#endif
#ifndef __acquires
#define __acquires(lock)
#define __releases(lock)
#define __must_hold(lock)
#endif

#ifndef __maybe_unused
#define __maybe_unused __attribute__((__unused__))
#endif
#ifndef __always_unused
#define __always_unused __attribute__((__unused__))
#endif
#ifndef __must_check
#define __must_check __attribute__((__warn_unused_result__))
#endif
#ifndef __read_mostly
#define __read_mostly
#endif
#ifndef __ro_after_init
#define __ro_after_init
#endif
#ifndef __cacheline_aligned
#define __cacheline_aligned
#endif
#ifndef ____cacheline_aligned
#define ____cacheline_aligned
#endif
#ifndef __packed
#define __packed __attribute__((__packed__))
#endif
#ifndef __counted_by
#define __counted_by(member)
#endif
#ifndef __weak
#define __weak __attribute__((__weak__))
#endif
#ifndef __aligned
#define __aligned(n) __attribute__((__aligned__(n)))
#endif
#ifndef __printf
#define __printf(format, first) __attribute__((__format__(printf, format, first)))
#endif
#ifndef __cold
#define __cold __attribute__((__cold__))
#endif
#ifndef notrace
#define notrace
#endif
#ifndef __bitwise
#define __bitwise
#endif
#ifndef uninitialized_var
#define uninitialized_var(x) x = x
#endif
#ifndef data_race
#define data_race(expression) (expression)
#endif
#ifndef asmlinkage
#define asmlinkage
#endif

#ifndef __stringify
#define DEADWALK_STRINGIFY(...) #__VA_ARGS__
#define __stringify(...) DEADWALK_STRINGIFY(__VA_ARGS__)
#endif

#ifndef READ_ONCE
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#endif
#ifndef WRITE_ONCE
#define WRITE_ONCE(x, value) ((void)(*(volatile __typeof__(x) *)&(x) = (value)))
#endif
#ifndef ACCESS_ONCE
#define ACCESS_ONCE(x) (*(volatile __typeof__(x) *)&(x))
#endif

#ifndef barrier
#define barrier() __asm__ __volatile__("" : : : "memory")
#endif
#ifndef mb
#define mb() __sync_synchronize()
#endif
#ifndef rmb
#define rmb() mb()
#endif
#ifndef wmb
#define wmb() mb()
#endif
#ifndef smp_mb
#define smp_mb() mb()
#endif
#ifndef smp_rmb
#define smp_rmb() mb()
#endif
#ifndef smp_wmb
#define smp_wmb() mb()
#endif
#ifndef smp_load_acquire
#define smp_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, value) __atomic_store_n(p, value, __ATOMIC_RELEASE)
#endif
#ifndef smp_store_mb
#define smp_store_mb(x, value) __atomic_store_n(&(x), value, __ATOMIC_SEQ_CST)
#endif
#ifndef set_mb
#define set_mb(x, value) smp_store_mb(x, value)
#endif
#ifndef cpu_relax
#define cpu_relax() __builtin_ia32_pause()
#endif

#endif
