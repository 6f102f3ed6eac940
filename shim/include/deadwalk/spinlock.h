/*
 * deadwalk: spin locks. One knows its holder, so that a delete that waits for a
 * handler which waits for the lock is seen to be a deadlock.
 *
 * A thread that finds the lock taken spins a little and then sleeps. Not
 * recursive; any thread may unlock.
 */
#ifndef DEADWALK_SPINLOCK_H
#define DEADWALK_SPINLOCK_H

#include <deadwalk/bug.h>
#include <deadwalk/irqflags.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
	volatile unsigned int word;  /* 0 open, 1 held, 2 held and waited for */
	volatile unsigned int owner; /* the holder's kernel thread id, 0: none */
} spinlock_t;
typedef spinlock_t raw_spinlock_t;

#define __SPIN_LOCK_UNLOCKED(name) { 0, 0 }
/* Both an initialiser and a value to assign, as it was used in 2.x. */
#define SPIN_LOCK_UNLOCKED (__extension__ (spinlock_t){ 0, 0 })
#define DEFINE_SPINLOCK(name) spinlock_t name = __SPIN_LOCK_UNLOCKED(name)

extern void spin_lock(spinlock_t *) __asm__("deadwalk_spin_lock");
extern void spin_unlock(spinlock_t *) __asm__("deadwalk_spin_unlock");
extern int spin_trylock(spinlock_t *) __asm__("deadwalk_spin_trylock");
extern int spin_is_locked(spinlock_t *) __asm__("deadwalk_spin_is_locked");

static __inline__ void spin_lock_init(spinlock_t *lock)
{
	lock->word = 0;
	lock->owner = 0;
}

/* There are no interrupts to keep out: a timer's handler is a thread's. */
#define spin_lock_bh(lock) spin_lock(lock)
#define spin_unlock_bh(lock) spin_unlock(lock)
#define spin_trylock_bh(lock) spin_trylock(lock)
#define spin_lock_irq(lock) spin_lock(lock)
#define spin_unlock_irq(lock) spin_unlock(lock)
#define spin_lock_irqsave(lock, flags) \
	do { \
		(flags) = deadwalk_save_flags(); \
		spin_lock(lock); \
	} while (0)
#define spin_unlock_irqrestore(lock, flags) \
	do { \
		(void)(flags); \
		spin_unlock(lock); \
	} while (0)

#define spin_trylock_irq(lock) spin_trylock(lock)
#define spin_trylock_irqsave(lock, flags) ((flags) = deadwalk_save_flags(), spin_trylock(lock))

/* For lockdep, which is not here. */
#define spin_lock_nested(lock, subclass) ((void)(subclass), spin_lock(lock))
#define spin_lock_bh_nested(lock, subclass) spin_lock_nested(lock, subclass)
#define spin_lock_nest_lock(lock, outer) ((void)(outer), spin_lock(lock))
#define spin_lock_irqsave_nested(lock, flags, subclass) \
	do { \
		(void)(subclass); \
		spin_lock_irqsave(lock, flags); \
	} while (0)
#ifndef lockdep_assert_held
#define lockdep_assert_held(lock) ((void)(lock))
#endif

#define assert_spin_locked(lock) BUG_ON(!spin_is_locked(lock))
#define spin_is_contended(lock) ((lock)->word == 2)
#define spin_unlock_wait(lock) \
	do { \
		while (spin_is_locked(lock)) \
			cpu_relax(); \
	} while (0)

#define DEFINE_RAW_SPINLOCK(name) raw_spinlock_t name = __RAW_SPIN_LOCK_UNLOCKED(name)
#define __RAW_SPIN_LOCK_UNLOCKED(name) __SPIN_LOCK_UNLOCKED(name)
#define raw_spin_lock_init(lock) spin_lock_init(lock)
#define raw_spin_lock(lock) spin_lock(lock)
#define raw_spin_lock_nested(lock, subclass) spin_lock_nested(lock, subclass)
#define raw_spin_unlock(lock) spin_unlock(lock)
#define raw_spin_trylock(lock) spin_trylock(lock)
#define raw_spin_is_locked(lock) spin_is_locked(lock)
#define raw_spin_lock_bh(lock) spin_lock_bh(lock)
#define raw_spin_unlock_bh(lock) spin_unlock_bh(lock)
#define raw_spin_lock_irq(lock) spin_lock_irq(lock)
#define raw_spin_unlock_irq(lock) spin_unlock_irq(lock)
#define raw_spin_lock_irqsave(lock, flags) spin_lock_irqsave(lock, flags)
#define raw_spin_unlock_irqrestore(lock, flags) spin_unlock_irqrestore(lock, flags)
#define raw_spin_trylock_irqsave(lock, flags) spin_trylock_irqsave(lock, flags)

#ifdef __cplusplus
}
#endif

#endif
