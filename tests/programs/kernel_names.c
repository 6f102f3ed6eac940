/*
 * The general names of kernel code do what they say.
 */
#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include "kernel_check.h"

struct pair {
	u8 small;
	u64 large;
};

static int calls;

static int next(void)
{
	return ++calls;
}

static void integers(void)
{
	BUILD_BUG_ON(sizeof(u8) != 1 || sizeof(s8) != 1 || sizeof(u16) != 2 || sizeof(s16) != 2);
	BUILD_BUG_ON(sizeof(u32) != 4 || sizeof(s32) != 4 || sizeof(u64) != 8 || sizeof(s64) != 8);
	CHECK((s8)-1 < 0 && (s16)-1 < 0 && (s32)-1 < 0 && (s64)-1 < 0);
	CHECK((u8)-1 == 255 && (u16)-1 == 65535 && (u32)-1 > 0 && (u64)-1 > 0);
	CHECK((bool)4 == true && !false);
	CHECK(BIT(40) == 1UL << 40 && DIV_ROUND_UP(7, 3) == 3 && DIV_ROUND_UP(6, 3) == 2);
	CHECK(ERESTARTSYS == 512 && ENOIOCTLCMD == 515 && ENOTSUPP == 524 && EINVAL == 22);
}

static void smallest_and_largest(void)
{
	int a = 1, b = 2;

	calls = 0;
	CHECK(min(next(), 5) == 1 && max(next(), 0) == 2 && calls == 2);
	CHECK(min(max(next(), 10), max(1, min(9, 8))) == 8);
	CHECK(min_t(unsigned int, -1, 5) == 5 && max_t(int, -1, 5u) == 5);
	CHECK(min3(3, 1, 2) == 1 && max3(1, 3, 2) == 3);
	CHECK(clamp(7, 1, 5) == 5 && clamp(0, 1, 5) == 1 && clamp(3, 1, 5) == 3);
	CHECK(clamp_t(long, -7, -5, 5) == -5 && clamp_val(a, 3, 4) == 3);
	swap(a, b);
	CHECK(a == 2 && b == 1);
}

static void errors_in_pointers(void)
{
	struct pair pair, *bad = (struct pair *)ERR_PTR(-ENOMEM);

	CHECK(IS_ERR(bad) && PTR_ERR(bad) == -ENOMEM && PTR_ERR_OR_ZERO(bad) == -ENOMEM);
	CHECK(!IS_ERR(&pair) && PTR_ERR_OR_ZERO(&pair) == 0 && !IS_ERR((void *)0));
	CHECK(IS_ERR_OR_NULL((void *)0) && IS_ERR(ERR_CAST(bad)));
	CHECK(container_of(&pair.large, struct pair, large) == &pair);
}

static void accesses(void)
{
	int one = 1;

	WRITE_ONCE(one, READ_ONCE(one) + 1);
	ACCESS_ONCE(one) = ACCESS_ONCE(one) + 1;
	barrier();
	smp_mb();
	smp_rmb();
	smp_wmb();
	mb();
	rmb();
	wmb();
	smp_store_release(&one, smp_load_acquire(&one) + 1);
	smp_store_mb(one, one + 1);
	cpu_relax();
	CHECK(likely(one == 5) && !unlikely(one != 5));
}

static void atomic_integers(void)
{
	static atomic_t zero = ATOMIC_INIT(0);
	atomic_t v;

	atomic_set(&v, 3);
	atomic_inc(&v);
	atomic_add(5, &v);
	atomic_dec(&v);
	atomic_sub(2, &v);
	CHECK(atomic_read(&v) == 6 && atomic_read(&zero) == 0);
	CHECK(atomic_inc_return(&v) == 7 && atomic_dec_return(&v) == 6);
	CHECK(atomic_add_return(4, &v) == 10 && atomic_sub_return(9, &v) == 1);
	CHECK(atomic_dec_and_test(&v) && !atomic_dec_and_test(&v) && atomic_inc_and_test(&v));
	CHECK(atomic_sub_and_test(0, &v) && atomic_add_negative(-1, &v));
	CHECK(atomic_xchg(&v, 8) == -1 && atomic_cmpxchg(&v, 8, 9) == 8);
	CHECK(atomic_cmpxchg(&v, 8, 10) == 9 && atomic_read(&v) == 9);
}

static void warnings(void)
{
	int i, warned = 0;

	for (i = 0; i < 3; i++)
		warned += WARN_ON_ONCE(i < 2);
	CHECK(warned == 2);
	CHECK(WARN_ON(calls) && !WARN_ON(!calls) && !WARN(!calls, "never\n"));
	CHECK(WARN(calls, "said %d\n", 1) && WARN_ONCE(calls, "said %d\n", 2));
	BUG_ON(!calls);
	for (i = 0; i < 2; i++) {
		printk_once("once\n");
		pr_warn_once("%s\n", "once");
	}
	pr_emerg("0\n");
	pr_alert("1\n");
	pr_crit("2\n");
	pr_err("3\n");
	pr_warn("4\n");
	pr_warning("4\n");
	pr_notice("5\n");
	pr_info("6\n");
	pr_debug("%d\n", next());
	pr_devel("%d\n", next());
	pr_info_ratelimited("6\n");
	if (printk_ratelimit())
		printk(KERN_INFO "6\n");
}

static void delays(void)
{
	unsigned long start = jiffies;

	might_sleep();
	cond_resched();
	ndelay(1);
	udelay(10);
	usleep_range(1, 2);
	mdelay(1);
	msleep(2 * 1000 / HZ);
	CHECK(!msleep_interruptible(1));
	/* The thread that ticks may be late on a busy machine. */
	while (time_before_eq(jiffies, start))
		msleep(1);
}

static void blocks(void)
{
	struct kmem_cache *cache = KMEM_CACHE(pair, SLAB_HWCACHE_ALIGN);
	char *text = kstrdup("a text", GFP_KERNEL), *start = kstrndup(text, 4, GFP_KERNEL);
	char *same = (char *)kmemdup(text, 7, GFP_KERNEL), *zeroes = (char *)vzalloc(20);
	void *others[5];
	unsigned int i;

	CHECK(!strcmp(text, "a text") && !strcmp(start, "a te") && !memcmp(same, "a text", 7));
	CHECK(!kstrdup(NULL, GFP_KERNEL) && zeroes[0] == 0 && zeroes[19] == 0);
	others[0] = vmalloc(10);
	others[1] = kvmalloc(10, GFP_KERNEL);
	others[2] = kvzalloc(10, GFP_KERNEL);
	others[3] = kvcalloc(10, 2, GFP_KERNEL);
	others[4] = kzalloc_node(10, GFP_KERNEL, 0);
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		CHECK(others[i]);
		kvfree(others[i]);
	}
	vfree(zeroes);
	kfree(same);
	kfree(start);
	kfree(text);
	kmem_cache_free(cache, kmem_cache_alloc(cache, GFP_KERNEL));
	kmem_cache_destroy(cache);
}

/* As in a driver's source that a program includes behind other headers. */
#define pr_fmt(fmt) "driver: " fmt

int main(int argc, char **argv)
{
	pr_info("%d is late\n", 1);
	(void)argv;
	integers();
	smallest_and_largest();
	errors_in_pointers();
	accesses();
	atomic_integers();
	warnings();
	delays();
	blocks();
	BUG_ON(argc > 1);
	return wrong;
}
