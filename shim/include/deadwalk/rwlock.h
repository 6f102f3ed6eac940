/*
 * deadwalk: reader-writer locks. They know who holds them, so that a delete that
 * waits for a handler which waits for the lock is seen to be a deadlock.
 *
 * Readers share it, and a thread may take it for reading twice; a writer waits for
 * all of them, and new ones need not wait for it.
 */
#ifndef DEADWALK_RWLOCK_H
#define DEADWALK_RWLOCK_H

#include <deadwalk/spinlock.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
	volatile unsigned int word;  /* 0 open; the library's bits and counts */
	volatile unsigned int owner; /* the writer's kernel thread id, 0: none */
	volatile unsigned int readers[6]; /* ... and of some of the readers */
} rwlock_t;

#define __RW_LOCK_UNLOCKED(name) { 0, 0, { 0 } }
/* Both an initialiser and a value to assign, as it was used in 2.x. */
#define RW_LOCK_UNLOCKED (__extension__ (rwlock_t){ 0, 0, { 0 } })
#define DEFINE_RWLOCK(name) rwlock_t name = __RW_LOCK_UNLOCKED(name)

extern void read_lock(rwlock_t *) __asm__("deadwalk_read_lock");
extern void read_unlock(rwlock_t *) __asm__("deadwalk_read_unlock");
extern int read_trylock(rwlock_t *) __asm__("deadwalk_read_trylock");
extern void write_lock(rwlock_t *) __asm__("deadwalk_write_lock");
extern void write_unlock(rwlock_t *) __asm__("deadwalk_write_unlock");
extern int write_trylock(rwlock_t *) __asm__("deadwalk_write_trylock");

static __inline__ void rwlock_init(rwlock_t *rw)
{
	__builtin_memset((void *)rw, 0, sizeof(*rw));
}

static __inline__ int rwlock_is_locked(const rwlock_t *rw)
{
	return rw->word != 0;
}

#define write_can_lock(rw) (!rwlock_is_locked(rw))
#define read_can_lock(rw) (!(rw)->owner)

#ifdef __cplusplus
}
#endif

/* There are no interrupts to keep out: a timer's handler is a thread's. */
#define read_lock_bh(rw) read_lock(rw)
#define read_unlock_bh(rw) read_unlock(rw)
#define read_lock_irq(rw) read_lock(rw)
#define read_unlock_irq(rw) read_unlock(rw)
#define read_lock_irqsave(rw, flags) ((flags) = deadwalk_save_flags(), read_lock(rw))
#define read_unlock_irqrestore(rw, flags) ((void)(flags), read_unlock(rw))

#define write_lock_bh(rw) write_lock(rw)
#define write_unlock_bh(rw) write_unlock(rw)
#define write_lock_irq(rw) write_lock(rw)
#define write_unlock_irq(rw) write_unlock(rw)
#define write_lock_irqsave(rw, flags) ((flags) = deadwalk_save_flags(), write_lock(rw))
#define write_unlock_irqrestore(rw, flags) ((void)(flags), write_unlock(rw))
#define write_trylock_irqsave(rw, flags) ((flags) = deadwalk_save_flags(), write_trylock(rw))
#define write_lock_nested(rw, subclass) ((void)(subclass), write_lock(rw))

#endif
