/*
 * deadwalk: bits in arrays of unsigned long. What changes one is atomic and a full
 * barrier, but for the names with two underscores.
 */
#ifndef DEADWALK_BITOPS_H
#define DEADWALK_BITOPS_H

#ifndef BITS_PER_BYTE
#define BITS_PER_BYTE 8
#endif
#ifndef BITS_PER_LONG
#define BITS_PER_LONG 64
#endif
#ifndef BIT
#define BIT(n) (1UL << (n))
#endif
#ifndef BIT_ULL
#define BIT_ULL(n) (1ULL << (n))
#endif
#ifndef BIT_MASK
#define BIT_MASK(n) (1UL << ((n) % BITS_PER_LONG))
#endif
#ifndef BIT_WORD
#define BIT_WORD(n) ((n) / BITS_PER_LONG)
#endif
#ifndef BITS_TO_LONGS
#define BITS_TO_LONGS(n) (((n) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#endif
#ifndef GENMASK
#define GENMASK(high, low) ((~0UL << (low)) & (~0UL >> (BITS_PER_LONG - 1 - (high))))
#endif
#ifndef DECLARE_BITMAP
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]
#endif

static __inline__ volatile unsigned long *deadwalk_bit_word(unsigned long n,
							    const volatile void *bits)
{
	return (volatile unsigned long *)bits + BIT_WORD(n);
}

static __inline__ int deadwalk_set_bit(unsigned long n, volatile void *bits)
{
	unsigned long mask = BIT_MASK(n);

	return !!(__atomic_fetch_or(deadwalk_bit_word(n, bits), mask, __ATOMIC_SEQ_CST) & mask);
}

static __inline__ int deadwalk_clear_bit(unsigned long n, volatile void *bits)
{
	unsigned long mask = BIT_MASK(n);

	return !!(__atomic_fetch_and(deadwalk_bit_word(n, bits), ~mask, __ATOMIC_SEQ_CST) & mask);
}

static __inline__ int deadwalk_change_bit(unsigned long n, volatile void *bits)
{
	unsigned long mask = BIT_MASK(n);

	return !!(__atomic_fetch_xor(deadwalk_bit_word(n, bits), mask, __ATOMIC_SEQ_CST) & mask);
}

static __inline__ int deadwalk_test_bit(unsigned long n, const volatile void *bits)
{
	return !!(__atomic_load_n(deadwalk_bit_word(n, bits), __ATOMIC_RELAXED) & BIT_MASK(n));
}

/* The first bit from `from` on that is `value`, or `size`. */
static __inline__ unsigned long deadwalk_find_bit(const unsigned long *bits, unsigned long size,
						  unsigned long from, int value)
{
	while (from < size && deadwalk_test_bit(from, bits) != value)
		from++;
	return from < size ? from : size;
}

#ifndef test_bit
#define test_bit(n, bits) deadwalk_test_bit(n, bits)
#endif
#ifndef set_bit
#define set_bit(n, bits) ((void)deadwalk_set_bit(n, bits))
#define clear_bit(n, bits) ((void)deadwalk_clear_bit(n, bits))
#define change_bit(n, bits) ((void)deadwalk_change_bit(n, bits))
#define test_and_set_bit(n, bits) deadwalk_set_bit(n, bits)
#define test_and_clear_bit(n, bits) deadwalk_clear_bit(n, bits)
#define test_and_change_bit(n, bits) deadwalk_change_bit(n, bits)
#define test_and_set_bit_lock(n, bits) test_and_set_bit(n, bits)
#define clear_bit_unlock(n, bits) clear_bit(n, bits)
#endif
#ifndef __set_bit
#define __set_bit(n, bits) set_bit(n, bits)
#define __clear_bit(n, bits) clear_bit(n, bits)
#define __change_bit(n, bits) change_bit(n, bits)
#define __test_and_set_bit(n, bits) test_and_set_bit(n, bits)
#define __test_and_clear_bit(n, bits) test_and_clear_bit(n, bits)
#endif
#ifndef assign_bit
#define assign_bit(n, bits, value) \
	((value) ? set_bit(n, bits) : clear_bit(n, bits))
#define __assign_bit(n, bits, value) assign_bit(n, bits, value)
#endif

#ifndef find_first_bit
#define find_first_bit(bits, size) deadwalk_find_bit(bits, size, 0, 1)
#define find_next_bit(bits, size, from) deadwalk_find_bit(bits, size, from, 1)
#define find_first_zero_bit(bits, size) deadwalk_find_bit(bits, size, 0, 0)
#define find_next_zero_bit(bits, size, from) deadwalk_find_bit(bits, size, from, 0)
#define for_each_set_bit(n, bits, size) \
	for ((n) = find_first_bit(bits, size); (n) < (size); \
	     (n) = find_next_bit(bits, size, (n) + 1))
#endif

/* Numbers of bits: __ffs and ffz from 0, fls from 1. Of 0 only fls knows. */
#ifndef __ffs
#define __ffs(word) ((unsigned long)__builtin_ctzl(word))
#define ffz(word) __ffs(~(word))
#endif
#ifndef fls
#define fls(word) ((unsigned int)(word) ? 32 - __builtin_clz((unsigned int)(word)) : 0)
#define fls64(word) \
	((unsigned long)(word) ? 64 - __builtin_clzl((unsigned long)(word)) : 0)
#endif
#ifndef hweight32
#define hweight8(word) __builtin_popcount((unsigned char)(word))
#define hweight16(word) __builtin_popcount((unsigned short)(word))
#define hweight32(word) __builtin_popcount((unsigned int)(word))
#define hweight64(word) __builtin_popcountl((unsigned long)(word))
#define hweight_long(word) hweight64(word)
#endif

#ifndef smp_mb__before_clear_bit
#define smp_mb__before_clear_bit() smp_mb()
#define smp_mb__after_clear_bit() smp_mb()
#endif

#endif
