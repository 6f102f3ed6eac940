/*
 * Every name of a lock is a spin lock's, and knows whether it is held.
 */
#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/smp_lock.h>
#include <linux/spinlock.h>
#include "kernel_check.h"

static DEFINE_RAW_SPINLOCK(raw);
static DEFINE_SPINLOCK(local);
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

static void mutexes(void)
{
	static DEFINE_MUTEX(defined_one);
	struct mutex mutex;

	mutex_init(&mutex);
	HOLDS(&mutex.wait_lock, mutex_lock(&mutex), mutex_unlock(&mutex));
	HOLDS(&mutex.wait_lock, CHECK(!mutex_lock_interruptible(&mutex)), mutex_unlock(&mutex));
	HOLDS(&mutex.wait_lock, mutex_lock_nested(&mutex, 1), mutex_unlock(&mutex));
	CHECK(mutex_trylock(&defined_one) && !mutex_trylock(&defined_one));
	CHECK(mutex_is_locked(&defined_one));
	mutex_unlock(&defined_one);
	mutex_destroy(&mutex);
}

/* Taken by one statement, given back by the other. */
#define HOLDS_RW(rw, reads, take, give) \
	do { \
		take; \
		CHECK(rwlock_is_locked(rw) && !write_can_lock(rw) && !write_trylock(rw)); \
		CHECK(reads ? read_can_lock(rw) : !read_can_lock(rw) && !read_trylock(rw)); \
		give; \
		CHECK(!rwlock_is_locked(rw) && write_can_lock(rw) && read_can_lock(rw)); \
	} while (0)

static void readers_and_writers(rwlock_t *rw)
{
	unsigned long flags;

	HOLDS_RW(rw, 1, read_lock(rw), read_unlock(rw));
	HOLDS_RW(rw, 1, CHECK(read_trylock(rw)), read_unlock(rw));
	HOLDS_RW(rw, 1, read_lock_bh(rw), read_unlock_bh(rw));
	HOLDS_RW(rw, 1, read_lock_irq(rw), read_unlock_irq(rw));
	HOLDS_RW(rw, 1, read_lock_irqsave(rw, flags), read_unlock_irqrestore(rw, flags));
	HOLDS_RW(rw, 0, write_lock(rw), write_unlock(rw));
	HOLDS_RW(rw, 0, CHECK(write_trylock(rw)), write_unlock(rw));
	HOLDS_RW(rw, 0, write_lock_bh(rw), write_unlock_bh(rw));
	HOLDS_RW(rw, 0, write_lock_irq(rw), write_unlock_irq(rw));
	HOLDS_RW(rw, 0, write_lock_irqsave(rw, flags), write_unlock_irqrestore(rw, flags));
	HOLDS_RW(rw, 0, CHECK(write_trylock_irqsave(rw, flags)), write_unlock_irqrestore(rw, flags));
	read_lock(rw);
	HOLDS_RW(rw, 1, read_lock(rw), read_unlock(rw); CHECK(rwlock_is_locked(rw)); read_unlock(rw));
}

/* A section is not counted: what nests saves the flags. */
static void of_2_4(void)
{
	unsigned long outer, inner, other;

	CHECK(!irqs_disabled());
	save_flags(outer);
	cli();
	CHECK(irqs_disabled());
	save_and_cli(inner);
	restore_flags(inner);
	CHECK(irqs_disabled() && irqs_disabled_flags(inner));
	spin_lock_irqsave(&local, other);
	spin_unlock(&local);
	restore_flags(other);
	CHECK(irqs_disabled());
	cli();
	restore_flags(outer);
	CHECK(!irqs_disabled() && !irqs_disabled_flags(outer));
	cli();
	sti();
	sti();
	CHECK(!irqs_disabled());
	__save_flags(other);
	__cli();
	CHECK(!irqs_disabled());
	__restore_flags(other);
	CHECK(!in_interrupt() && !in_irq());
	lock_kernel();
	lock_kernel();
	unlock_kernel();
	CHECK(kernel_locked());
	unlock_kernel();
	CHECK(!kernel_locked());
	unlock_kernel();
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
	mutexes();
	of_2_4();
	return wrong;
}
