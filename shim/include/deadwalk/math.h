/*
 * deadwalk: rounding, halves of numbers, and division.
 */
#ifndef DEADWALK_MATH_H
#define DEADWALK_MATH_H

#ifndef ALIGN
#define ALIGN(x, a) (((x) + ((__typeof__(x))(a)-1)) & ~((__typeof__(x))(a)-1))
#endif
#ifndef ALIGN_DOWN
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#endif
#ifndef IS_ALIGNED
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)
#endif
#ifndef DIV_ROUND_UP
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#endif
#ifndef DIV_ROUND_CLOSEST
/* To the nearest, halves away from 0. */
#define DEADWALK_IS_UNSIGNED(x) ((__typeof__(x))-1 > 0)
#define DIV_ROUND_CLOSEST(n, d) \
	(DEADWALK_IS_UNSIGNED(n) || DEADWALK_IS_UNSIGNED(d) || ((n) > 0) == ((d) > 0) \
		 ? ((n) + (d) / 2) / (d) \
		 : ((n) - (d) / 2) / (d))
#endif
#ifndef roundup
#define roundup(x, y) (DIV_ROUND_UP(x, y) * (y))
#endif
#ifndef rounddown
#define rounddown(x, y) ((x) - (x) % (y))
#endif
#ifndef round_up
#define round_up(x, y) ALIGN(x, y)
#define round_down(x, y) ALIGN_DOWN(x, y)
#endif
#ifndef upper_32_bits
#define upper_32_bits(n) ((unsigned int)((n) >> 16 >> 16))
#define lower_32_bits(n) ((unsigned int)(n))
#endif
#ifndef is_power_of_2
#define is_power_of_2(n) ((n) != 0 && ((n) & ((n)-1)) == 0)
#endif

/* Divides n in place; its value is the rest. */
#ifndef do_div
#define do_div(n, d) \
	(__extension__ ({ \
		unsigned int deadwalk_by_ = (d); \
		unsigned int deadwalk_rest_ = (unsigned int)((n) % deadwalk_by_); \
		(n) /= deadwalk_by_; \
		deadwalk_rest_; \
	}))
#endif
#ifndef div_u64
#define div_u64(n, d) ((unsigned long long)(n) / (unsigned int)(d))
#define div64_u64(n, d) ((unsigned long long)(n) / (unsigned long long)(d))
#define div_s64(n, d) ((long long)(n) / (int)(d))
#endif

/* The same types, or the compiler warns. */
#ifndef typecheck
#define typecheck(type, x) \
	(__extension__ ({ \
		type deadwalk_type_; \
		__typeof__(x) deadwalk_other_; \
		(void)(&deadwalk_type_ == &deadwalk_other_); \
		1; \
	}))
#endif

#ifndef U8_MAX
#define U8_MAX ((u8)~0U)
#define S8_MAX ((s8)(U8_MAX >> 1))
#define U16_MAX ((u16)~0U)
#define S16_MAX ((s16)(U16_MAX >> 1))
#define U32_MAX ((u32)~0U)
#define S32_MAX ((s32)(U32_MAX >> 1))
#define U64_MAX ((u64)~0ULL)
#define S64_MAX ((s64)(U64_MAX >> 1))
#endif

#endif
