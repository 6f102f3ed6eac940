/*
 * Every name of a lock is a spin lock's, and knows whether it is held.
 */
#include <linux/kernel.h>
#include <linux/spinlock.h>
#include "kernel_check.h"

static DEFINE_RAW_SPINLOCK(raw);
static DEFINE_RWLOCK(defined);
static rwlock_t initialised = RW_LOCK_UNLOCKED;
static rwlock_t static_one = __RW_LOCK_UNLOCKED(static_one);

/* Taken by one statement, given back by the other, it is held in between. */
#define HOLDS(lock, take, give) \
	do { \
		take; \
		CHECK(spin_is_locked(lock)); \
		give; \
		CHECK(!spin_is_locked(lock)); \
	} while (0)

static void plain(void)
{
	spinlock_t lock = SPIN_LOCK_UNLOCKED;
	unsigned long flags;

	HOLDS(&lock, CHECK(spin_trylock_bh(&lock)), spin_unlock_bh(&lock));
	HOLDS(&lock, CHECK(spin_trylock_irq(&lock)), spin_unlock_irq(&lock));
	HOLDS(&lock, CHECK(spin_trylock_irqsave(&lock, flags)), spin_unlock_irqrestore(&lock, flags));
	HOLDS(&lock, spin_lock_nested(&lock, 1), spin_unlock(&lock));
	HOLDS(&lock, spin_lock_bh_nested(&lock, 1), spin_unlock_bh(&lock));
	HOLDS(&lock, spin_lock_irqsave_nested(&lock, flags, 1), spin_unlock_irqrestore(&lock, flags));
	HOLDS(&lock, spin_lock_nest_lock(&lock, &raw), spin_unlock(&lock));
	spin_lock(&lock);
	assert_spin_locked(&lock);
	lockdep_assert_held(&lock);
	CHECK(!spin_is_contended(&lock) && !spin_trylock_irqsave(&lock, flags));
	spin_unlock(&lock);
	spin_unlock_wait(&lock);
}

static void raw_ones(void)
{
	raw_spinlock_t lock;
	unsigned long flags;

	raw_spin_lock_init(&lock);
	HOLDS(&lock, raw_spin_lock(&lock), raw_spin_unlock(&lock));
	HOLDS(&lock, raw_spin_lock_nested(&lock, 1), raw_spin_unlock(&lock));
	HOLDS(&lock, CHECK(raw_spin_trylock(&lock)), raw_spin_unlock(&lock));
	HOLDS(&lock, raw_spin_lock_bh(&lock), raw_spin_unlock_bh(&lock));
	HOLDS(&lock, raw_spin_lock_irq(&lock), raw_spin_unlock_irq(&lock));
	HOLDS(&lock, raw_spin_lock_irqsave(&lock, flags), raw_spin_unlock_irqrestore(&lock, flags));
	HOLDS(&raw, CHECK(raw_spin_trylock_irqsave(&raw, flags)), raw_spin_unlock(&raw));
	CHECK(!raw_spin_is_locked(&raw));
}

static void readers_and_writers(rwlock_t *rw)
{
	spinlock_t *lock = &rw->lock;
	unsigned long flags;

	HOLDS(lock, read_lock(rw), read_unlock(rw));
	HOLDS(lock, CHECK(read_trylock(rw)), read_unlock(rw));
	HOLDS(lock, read_lock_bh(rw), read_unlock_bh(rw));
	HOLDS(lock, read_lock_irq(rw), read_unlock_irq(rw));
	HOLDS(lock, read_lock_irqsave(rw, flags), read_unlock_irqrestore(rw, flags));
	HOLDS(lock, write_lock(rw), write_unlock(rw));
	HOLDS(lock, CHECK(write_trylock(rw)), write_unlock(rw));
	HOLDS(lock, write_lock_bh(rw), write_unlock_bh(rw));
	HOLDS(lock, write_lock_irq(rw), write_unlock_irq(rw));
	HOLDS(lock, write_lock_irqsave(rw, flags), write_unlock_irqrestore(rw, flags));
}

static void of_2_4(void)
{
	unsigned long flags;

	save_flags(flags);
	cli();
	restore_flags(flags);
	save_and_cli(flags);
	sti();
	restore_flags(flags);
	CHECK(flags == 0);
}

int main(void)
{
	rwlock_t rw;

	rwlock_init(&rw);
	plain();
	raw_ones();
	readers_and_writers(&rw);
	readers_and_writers(&defined);
	readers_and_writers(&initialised);
	readers_and_writers(&static_one);
	of_2_4();
	return wrong;
}
