/*
 * What ends with a scope: locks and memory. Functions for readers, writers and every
 * way to take a spin lock.
 */
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "kernel_check.h"

static DEFINE_SPINLOCK(lock);
static DEFINE_RAW_SPINLOCK(raw);
static DEFINE_RWLOCK(rw);
static DEFINE_MUTEX(mutex);

/* A driver's own. */
struct door {
	int opened, closed, gone;
};
static struct door door;

DEFINE_GUARD(door, struct door *, _T->opened++, _T->closed++)
DEFINE_FREE(door, struct door *, if (_T) _T->gone++)

static void own(void)
{
	struct door *mine __free(door) = &door;
	struct door *nobody __free(door) = NULL;
	guard(door)(mine);

	CHECK(!nobody && door.opened == 1 && !door.closed && !door.gone);
}

static int held(void)
{
	guard(spinlock)(&lock);
	{
		guard(raw_spinlock)(&raw);
		CHECK(raw_spin_is_locked(&raw));
	}
	CHECK(!raw_spin_is_locked(&raw));
	return spin_is_locked(&lock);
}

static void ways(void)
{
	{
		guard(spinlock_bh)(&lock);
		CHECK(spin_is_locked(&lock));
	}
	{
		guard(spinlock_irqsave)(&lock);
		CHECK(spin_is_locked(&lock));
	}
	{
		guard(read_lock)(&rw);
		CHECK(read_can_lock(&rw) && !write_can_lock(&rw));
	}
	{
		guard(write_lock)(&rw);
		CHECK(!read_can_lock(&rw));
	}
	{
		guard(mutex)(&mutex);
		CHECK(mutex_is_locked(&mutex));
	}
	CHECK(!mutex_is_locked(&mutex));
	CHECK(!spin_is_locked(&lock) && write_can_lock(&rw));
}

static void scopes(void)
{
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 199901L
	int rounds = 0;

	scoped_guard(spinlock_irq, &lock) {
		CHECK(spin_is_locked(&lock));
		rounds++;
	}
	CHECK(rounds == 1 && !spin_is_locked(&lock));
	scoped_guard(spinlock, &lock)
		break;
	CHECK(!spin_is_locked(&lock));
#endif
}

static char *text(int is_wanted)
{
	char *new_one __free(kfree) = kstrdup("text", GFP_KERNEL);

	if (!is_wanted)
		return NULL;
	return_ptr(new_one);
}

int main(void)
{
	char *kept = text(1);

	CHECK(held() && !spin_is_locked(&lock));
	ways();
	own();
	CHECK(door.opened == 1 && door.closed == 1 && door.gone == 1);
	scopes();
	CHECK(!text(0) && kept && !strcmp(kept, "text"));
	kfree(kept);
	return wrong;
}
