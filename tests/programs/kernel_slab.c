/*
 * What kmalloc and object caches give.
 */
#include <linux/slab.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int all(const void *block, int byte, size_t from, size_t to)
{
	const unsigned char *bytes = block;

	for (; from < to; from++) {
		if (bytes[from] != byte)
			return 0;
	}
	return 1;
}

static int constructed;

static void construct(void *object)
{
	constructed += all(object, 0x5a, 0, 100);
	memset(object, 'c', 100);
}

static void sizes(void)
{
	static const size_t size[] = { 1, 7, 48, 100, 4096, 70000, 3 << 20 };
	int filled = 0, zeroed = 0;
	size_t i;

	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		char *fresh = kmalloc(size[i], GFP_KERNEL), *zero = kzalloc(size[i], GFP_ATOMIC);

		filled += all(fresh, 0x5a, 0, size[i]);
		zeroed += all(zero, 0, 0, size[i]);
		kfree(fresh);
		kfree_sensitive(zero);
	}
	printf("filled %d, zeroed %d\n", filled, zeroed);
}

static void growth(void)
{
	char *block = krealloc(NULL, 10, GFP_KERNEL);
	int filled = all(block, 0x5a, 0, 10);
	size_t size = 10, more;

	memset(block, 'x', size);
	for (more = 12; more < 200000; more = more * 3 / 2) {
		block = krealloc(block, more, GFP_KERNEL);
		filled &= all(block, 'x', 0, size) && all(block, 0x5a, size, more);
		memset(block, 'x', more);
		size = more;
	}
	block = krealloc(block, 5, GFP_KERNEL);
	filled &= all(block, 'x', 0, 5);
	block = krealloc(block, 1000, GFP_KERNEL | __GFP_ZERO);
	filled &= all(block, 0, 5, 1000);
	block = krealloc(block, 0, GFP_KERNEL);
	printf("grown %d, of nothing %d\n", filled, block != NULL);
	kfree(block);
}

static void extremes(void)
{
	void *one = kmalloc(0, GFP_KERNEL), *other = kmalloc(0, GFP_KERNEL);
	volatile size_t huge = SIZE_MAX;

	printf("unique %d\n", one && other && one != other);
	kfree(one);
	kfree(other);
	kfree(NULL);
	kfree_sensitive(NULL);
	kmem_cache_destroy(NULL);
	printf("huge %d %d %d %d %d\n", !kmalloc(huge, GFP_KERNEL), !kmalloc(huge / 2 - 15, GFP_KERNEL),
	       !kcalloc(huge / 2, 4, GFP_KERNEL), !kmalloc_array(huge / 2, 3, GFP_KERNEL),
	       !kzalloc(huge - 40, GFP_KERNEL));
}

static void caches(void)
{
	struct kmem_cache *plain = kmem_cache_create("plain", 100, 256, 0, NULL);
	struct kmem_cache *made = kmem_cache_create("made", 100, 0, SLAB_HWCACHE_ALIGN, construct);
	char *a = kmem_cache_alloc(plain, GFP_KERNEL), *b = kmem_cache_zalloc(plain, GFP_KERNEL);
	char *c = kmem_cache_alloc(made, GFP_KERNEL);

	printf("cache %d %d %d, constructed %d %d\n", all(a, 0x5a, 0, 100), all(b, 0, 0, 100),
	       ((uintptr_t)a | (uintptr_t)b) % 256 == 0 && (uintptr_t)c % 64 == 0, constructed,
	       all(c, 'c', 0, 100));
	kmem_cache_free(plain, a);
	kmem_cache_free(plain, b);
	kmem_cache_free(made, c);
	kmem_cache_destroy(plain);
	kmem_cache_destroy(made);
	printf("destroyed %d\n", !kmem_cache_alloc(plain, GFP_KERNEL));
}

#ifdef BAD
static char *obtain(void)
{
	return kmalloc(64, GFP_KERNEL);
}

static void release(char *block)
{
	kfree(block);
}
#endif

int main(void)
{
	sizes();
	growth();
	extremes();
	caches();
#ifdef BAD
	char *block = obtain();
	release(block);
	release(block);
#endif
	return 0;
}
