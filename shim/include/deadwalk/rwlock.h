/*
 * deadwalk: reader-writer locks, each a spin lock: readers keep each other out
 * too. A thread that takes one for reading twice, which the kernel allows, never
 * gets it.
 */
#ifndef DEADWALK_RWLOCK_H
#define DEADWALK_RWLOCK_H

#include <deadwalk/spinlock.h>

typedef struct {
	spinlock_t lock;
} rwlock_t;

#define __RW_LOCK_UNLOCKED(name) { { 0, 0 } }
/* Both an initialiser and a value to assign, as it was used in 2.x. */
#define RW_LOCK_UNLOCKED (__extension__ (rwlock_t){ { 0, 0 } })
#define DEFINE_RWLOCK(name) rwlock_t name = __RW_LOCK_UNLOCKED(name)

#define rwlock_init(rw) spin_lock_init(&(rw)->lock)

#define read_lock(rw) spin_lock(&(rw)->lock)
#define read_unlock(rw) spin_unlock(&(rw)->lock)
#define read_trylock(rw) spin_trylock(&(rw)->lock)
#define read_lock_bh(rw) read_lock(rw)
#define read_unlock_bh(rw) read_unlock(rw)
#define read_lock_irq(rw) read_lock(rw)
#define read_unlock_irq(rw) read_unlock(rw)
#define read_lock_irqsave(rw, flags) spin_lock_irqsave(&(rw)->lock, flags)
#define read_unlock_irqrestore(rw, flags) spin_unlock_irqrestore(&(rw)->lock, flags)

#define write_lock(rw) spin_lock(&(rw)->lock)
#define write_unlock(rw) spin_unlock(&(rw)->lock)
#define write_trylock(rw) spin_trylock(&(rw)->lock)
#define write_lock_bh(rw) write_lock(rw)
#define write_unlock_bh(rw) write_unlock(rw)
#define write_lock_irq(rw) write_lock(rw)
#define write_unlock_irq(rw) write_unlock(rw)
#define write_lock_irqsave(rw, flags) spin_lock_irqsave(&(rw)->lock, flags)
#define write_unlock_irqrestore(rw, flags) spin_unlock_irqrestore(&(rw)->lock, flags)

#endif
