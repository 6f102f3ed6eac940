/*
 * deadwalk: mutexes. Their waiters sleep as those of spin locks do, and the holder is
 * known in the same way. No signal ends a wait.
 */
#ifndef DEADWALK_MUTEX_H
#define DEADWALK_MUTEX_H

#include <deadwalk/spinlock.h>
#ifndef __cplusplus
#include <deadwalk/cleanup.h>
#endif

struct mutex {
	spinlock_t wait_lock;
};

#define __MUTEX_INITIALIZER(name) { __SPIN_LOCK_UNLOCKED(name) }
#define DEFINE_MUTEX(name) struct mutex name = __MUTEX_INITIALIZER(name)

#define mutex_init(mutex) spin_lock_init(&(mutex)->wait_lock)
#define mutex_destroy(mutex) ((void)(mutex))
#define mutex_lock(mutex) spin_lock(&(mutex)->wait_lock)
#define mutex_unlock(mutex) spin_unlock(&(mutex)->wait_lock)
#define mutex_trylock(mutex) spin_trylock(&(mutex)->wait_lock)
#define mutex_is_locked(mutex) spin_is_locked(&(mutex)->wait_lock)
#define mutex_lock_nested(mutex, subclass) ((void)(subclass), mutex_lock(mutex))
#define mutex_lock_interruptible(mutex) (mutex_lock(mutex), 0)
#define mutex_lock_killable(mutex) mutex_lock_interruptible(mutex)

#ifndef __cplusplus
DEADWALK_GUARD(mutex, struct mutex *, mutex_lock(_T), mutex_unlock(_T))
#endif

#endif
