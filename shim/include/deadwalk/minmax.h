/*
 * deadwalk: min, max, clamp and swap. Each argument is evaluated once. Not for
 * C++, which has its own.
 */
#ifndef DEADWALK_MINMAX_H
#define DEADWALK_MINMAX_H

#ifndef __cplusplus

/* The counter: one in the argument of another must not hide its variables. */
#define DEADWALK_PICK(type, a, op, b) DEADWALK_PICK_AS(type, type, a, op, b, __COUNTER__)
#define DEADWALK_PICK_AS(type_a, type_b, a, op, b, n) DEADWALK_PICK_N(type_a, type_b, a, op, b, n)
#define DEADWALK_PICK_N(type_a, type_b, a, op, b, n) \
	(__extension__ ({ \
		type_a deadwalk_a##n = (a); \
		type_b deadwalk_b##n = (b); \
		deadwalk_a##n op deadwalk_b##n ? deadwalk_a##n : deadwalk_b##n; \
	}))

#ifndef min
#define min(a, b) DEADWALK_PICK_AS(__typeof__(a), __typeof__(b), a, <, b, __COUNTER__)
#endif
#ifndef max
#define max(a, b) DEADWALK_PICK_AS(__typeof__(a), __typeof__(b), a, >, b, __COUNTER__)
#endif
#ifndef min_t
#define min_t(type, a, b) DEADWALK_PICK(type, a, <, b)
#endif
#ifndef max_t
#define max_t(type, a, b) DEADWALK_PICK(type, a, >, b)
#endif
#ifndef min3
#define min3(a, b, c) min(min(a, b), c)
#endif
#ifndef max3
#define max3(a, b, c) max(max(a, b), c)
#endif
#ifndef clamp
#define clamp(value, lo, hi) min(max(value, lo), hi)
#endif
#ifndef clamp_t
#define clamp_t(type, value, lo, hi) min_t(type, max_t(type, value, lo), hi)
#endif
#ifndef clamp_val
#define clamp_val(value, lo, hi) clamp_t(__typeof__(value), value, lo, hi)
#endif

#ifndef swap
#define swap(a, b) \
	do { \
		__typeof__(a) deadwalk_swap_ = (a); \
		(a) = (b); \
		(b) = deadwalk_swap_; \
	} while (0)
#endif

#endif /* no C++ */
#endif
