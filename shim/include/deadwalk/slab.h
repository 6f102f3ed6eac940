/*
 * deadwalk: kmalloc and object caches, over the heap that deadwalk watches.
 *
 * What kmalloc and kmem_cache_alloc give is filled with 0x5a, what is freed
 * with 0x6b: a timer that was never initialised, or is gone, is told by it.
 */
#ifndef DEADWALK_SLAB_H
#define DEADWALK_SLAB_H

#include <stddef.h>

#include <deadwalk/gfp.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every allocation may sleep here, and none does; only __GFP_ZERO counts. */
#define __GFP_ZERO 0x100u
#define __GFP_NOWARN 0x200u
#define GFP_ATOMIC 0x20u
#define GFP_NOWAIT 0x40u
#define GFP_KERNEL 0xcc0u
#define GFP_USER 0xcc0u
#define GFP_NOIO 0xc00u
#define GFP_NOFS 0xc40u
#define GFP_DMA 0x1u
#define GFP_DMA32 0x4u
#define GFP_HIGHUSER GFP_USER
#define GFP_KERNEL_ACCOUNT GFP_KERNEL
#define GFP_BUFFER GFP_NOIO
#define __GFP_HIGH 0x20u
#define __GFP_WAIT 0x400u
#define __GFP_NORETRY 0x10000u
#define __GFP_NOFAIL 0x8000u
#define __GFP_RETRY_MAYFAIL 0x4000u
#define __GFP_COMP 0x40000u
#define SLAB_ATOMIC GFP_ATOMIC
#define SLAB_KERNEL GFP_KERNEL

/* Of these only the alignment counts: every block is poisoned and guarded. */
#define SLAB_HWCACHE_ALIGN 0x2000u
#define SLAB_POISON 0x800u
#define SLAB_RED_ZONE 0x400u
#define SLAB_STORE_USER 0x10000u
#define SLAB_PANIC 0x40000u
#define SLAB_RECLAIM_ACCOUNT 0x20000u
#define SLAB_CONSISTENCY_CHECKS 0x100u
#define SLAB_DEBUG_FREE 0x100u
#define SLAB_MEM_SPREAD 0x100000u
#define SLAB_ACCOUNT 0x4000000u
#define SLAB_NO_REAP 0x1000u
/* What a constructor of 2.x was told. */
#define SLAB_CTOR_CONSTRUCTOR 1u
#define SLAB_CTOR_VERIFY 4u

#define DEADWALK_SLAB_NAMED(name) __asm__("deadwalk_" #name)

/* NULL without memory, or for more than any object can have. Of 0 bytes: a
 * block of its own. */
extern void *kmalloc(size_t, gfp_t) DEADWALK_SLAB_NAMED(kmalloc);
extern void *kmalloc_array(size_t, size_t, gfp_t) DEADWALK_SLAB_NAMED(kmalloc_array);
extern void *kzalloc(size_t, gfp_t) DEADWALK_SLAB_NAMED(kzalloc);
extern void *kcalloc(size_t, size_t, gfp_t) DEADWALK_SLAB_NAMED(kcalloc);
extern void *krealloc(const void *, size_t, gfp_t) DEADWALK_SLAB_NAMED(krealloc);
extern void kfree(const void *) DEADWALK_SLAB_NAMED(kfree);
/* Zeroes it first. */
extern void kfree_sensitive(const void *) DEADWALK_SLAB_NAMED(kfree_sensitive);
#define kzfree(block) kfree_sensitive(block)
#define kmalloc_node(size, gfp, node) ((void)(node), kmalloc(size, gfp))
#define kzalloc_node(size, gfp, node) ((void)(node), kzalloc(size, gfp))

/* All from the one heap: any of these is freed by any of them. */
#define kvmalloc(size, gfp) kmalloc(size, gfp)
#define kvzalloc(size, gfp) kzalloc(size, gfp)
#define kvmalloc_array(n, size, gfp) kmalloc_array(n, size, gfp)
#define kvcalloc(n, size, gfp) kcalloc(n, size, gfp)
#define kvfree(block) kfree(block)
#define kfree_const(block) kfree(block)
#define kfree_s(block, size) ((void)(size), kfree(block))
#define krealloc_array(block, n, size, gfp) krealloc(block, array_size(n, size), gfp)
#define vmalloc(size) kmalloc(size, GFP_KERNEL)
#define vzalloc(size) kzalloc(size, GFP_KERNEL)
#define vfree(block) kfree(block)

#define ZERO_SIZE_PTR ((void *)16)
#define ZERO_OR_NULL_PTR(block) ((unsigned long)(block) <= (unsigned long)ZERO_SIZE_PTR)

/* Too much for a number is too much for the heap. */
static __inline__ size_t deadwalk_array_size(size_t n, size_t size, size_t more)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(bytes, more, &bytes))
		return ~(size_t)0;
	return bytes;
}
#ifndef array_size
#define array_size(n, size) deadwalk_array_size(n, size, 0)
#endif
#ifndef struct_size
#define struct_size(p, array, n) deadwalk_array_size(n, sizeof((p)->array[0]), sizeof(*(p)))
#endif

static __inline__ void *kmemdup(const void *from, size_t size, gfp_t gfp)
{
	void *copy = kmalloc(size, gfp);

	return copy ? __builtin_memcpy(copy, from, size) : copy;
}

/* At most `most` characters; a NUL follows. */
static __inline__ char *kstrndup(const char *text, size_t most, gfp_t gfp)
{
	size_t length = 0;
	char *copy;

	if (!text)
		return NULL;
	while (length < most && text[length])
		length++;
	copy = (char *)kmalloc(length + 1, gfp);
	if (copy) {
		__builtin_memcpy(copy, text, length);
		copy[length] = '\0';
	}
	return copy;
}

/* Of NULL: NULL. */
static __inline__ char *kstrdup(const char *text, gfp_t gfp)
{
	return text ? (char *)kmemdup(text, __builtin_strlen(text) + 1, gfp) : NULL;
}

/*
 * A constructor runs on every object that is handed out. Up to 2.6 it got the
 * cache and flags too, and a destructor's place followed it, which was NULL and
 * is ignored.
 */
struct kmem_cache;
typedef struct kmem_cache kmem_cache_t;
extern struct kmem_cache *deadwalk_kmem_cache_create(const char *, size_t, size_t, unsigned long,
						     void (*)(void *));
#define kmem_cache_create(name, size, align, flags, ...) \
	deadwalk_kmem_cache_create(name, size, align, flags, \
				   DEADWALK_CONSTRUCTOR(__VA_ARGS__, ~))
#define DEADWALK_CONSTRUCTOR(ctor, ...) ((void (*)(void *))(void (*)(void))(ctor))
#define KMEM_CACHE(type, flags) \
	kmem_cache_create(#type, sizeof(struct type), __alignof__(struct type), flags, NULL)
extern void *kmem_cache_alloc(struct kmem_cache *, gfp_t) DEADWALK_SLAB_NAMED(kmem_cache_alloc);
extern void *kmem_cache_zalloc(struct kmem_cache *, gfp_t)
	DEADWALK_SLAB_NAMED(kmem_cache_zalloc);
extern void kmem_cache_free(struct kmem_cache *, void *) DEADWALK_SLAB_NAMED(kmem_cache_free);
#define kmem_cache_alloc_node(cache, gfp, node) ((void)(node), kmem_cache_alloc(cache, gfp))
#define kmem_cache_shrink(cache) ((void)(cache), 0)
extern void kmem_cache_destroy(struct kmem_cache *) DEADWALK_SLAB_NAMED(kmem_cache_destroy);

#ifdef __cplusplus
}
#endif

#endif
