/*
 * Counts: atomic ones, references, and how often a module is in use.
 */
#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include "kernel_check.h"

static int released;

static void release(struct kref *kref)
{
	released += kref_read(kref) == 0;
}

static void atomics(void)
{
	atomic_t n = ATOMIC_INIT(5);
	atomic64_t wide = ATOMIC64_INIT(1LL << 40);
	int old = 5;
	static DEFINE_SPINLOCK(lock);

	CHECK(atomic_fetch_add(2, &n) == 5 && atomic_fetch_dec(&n) == 7);
	CHECK(!atomic_try_cmpxchg(&n, &old, 1) && old == 6 && atomic_try_cmpxchg(&n, &old, 1));
	CHECK(!atomic_add_unless(&n, 1, 1) && atomic_add_unless(&n, 1, 9));
	CHECK(atomic_inc_not_zero(&n) && atomic_read(&n) == 3);
	atomic_or(4, &n);
	atomic_andnot(1, &n);
	CHECK(atomic_read_acquire(&n) == 6);
	atomic_set_release(&n, 2);
	CHECK(!atomic_dec_and_lock(&n, &lock) && !spin_is_locked(&lock));
	CHECK(atomic_dec_and_lock(&n, &lock) && spin_is_locked(&lock) && !atomic_inc_not_zero(&n));
	spin_unlock(&lock);
	atomic64_inc(&wide);
	CHECK(atomic64_read(&wide) == (1LL << 40) + 1);
	CHECK(xchg(&old, 3) == 6 && cmpxchg(&old, 3, 4) == 3 && old == 4);
}

static void references(void)
{
	static DEFINE_SPINLOCK(lock);
	refcount_t r = REFCOUNT_INIT(1);

	refcount_inc(&r);
	refcount_add(2, &r);
	CHECK(refcount_read(&r) == 4 && refcount_inc_not_zero(&r));
	CHECK(!refcount_sub_and_test(3, &r) && refcount_read(&r) == 2);
	refcount_dec(&r);
	CHECK(!refcount_dec_not_one(&r) && refcount_dec_if_one(&r));
	CHECK(refcount_read(&r) == 0 && !refcount_inc_not_zero(&r));
	refcount_set(&r, 2);
	CHECK(!refcount_dec_and_lock(&r, &lock) && !spin_is_locked(&lock));
	CHECK(refcount_dec_and_lock(&r, &lock) && spin_is_locked(&lock));
	spin_unlock(&lock);
}

/* Each says so once, and what is left is never freed. */
static void spoilt_references(void)
{
	refcount_t r;
	int i;

	for (i = 0; i < 2; i++) {
		refcount_set(&r, 0);
		refcount_inc(&r);
		CHECK(refcount_read(&r) == (unsigned int)REFCOUNT_SATURATED);
		CHECK(!refcount_dec_and_test(&r) && refcount_inc_not_zero(&r));
		refcount_set(&r, REFCOUNT_MAX);
		refcount_inc(&r);
		CHECK(!refcount_dec_and_test(&r));
		refcount_set(&r, 0);
		CHECK(!refcount_dec_and_test(&r)); /* below */
		refcount_set(&r, 1);
		refcount_dec(&r);
		CHECK(!refcount_dec_and_test(&r));
	}
}

static void counted_objects(void)
{
	struct kref kref;

	kref_init(&kref);
	kref_get(&kref);
	CHECK(!kref_put(&kref, release) && !released);
	CHECK(kref_get_unless_zero(&kref) && !kref_put(&kref, release));
	CHECK(kref_put(&kref, release) && released == 1 && !kref_get_unless_zero(&kref));
}

static void module_uses(void)
{
	MOD_INC_USE_COUNT;
	CHECK(try_module_get(THIS_MODULE) && MOD_IN_USE && deadwalk_module_uses() == 2);
	module_put(THIS_MODULE);
	MOD_DEC_USE_COUNT;
	CHECK(!MOD_IN_USE && module_refcount(THIS_MODULE) == 0);
	CHECK(try_module_get(NULL));
	module_put(NULL);
}

int main(void)
{
	atomics();
	references();
	spoilt_references();
	counted_objects();
	module_uses();
	return wrong;
}
