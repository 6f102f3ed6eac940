/*
 * deadwalk: assertions. BUG ends the program by SIGABRT, WARN says so on stderr.
 */
#ifndef DEADWALK_BUG_H
#define DEADWALK_BUG_H

#include <deadwalk/compiler.h>
#include <deadwalk/printk.h>

/* Says where, if `condition` is not 0, and returns it. */
static __inline__ int deadwalk_warn(int condition, const char *file, int line,
				    const char *function)
{
	if (unlikely(condition))
		fprintf(stderr, "WARNING: at %s:%d %s()\n", file, line, function);
	return condition;
}

/* The same at the first time only; `warned` is the place's own. */
static __inline__ int deadwalk_warn_once(int condition, int *warned, const char *file, int line,
					 const char *function)
{
	if (unlikely(condition) && !__atomic_exchange_n(warned, 1, __ATOMIC_RELAXED))
		deadwalk_warn(1, file, line, function);
	return condition;
}

#define DEADWALK_WARN(condition) deadwalk_warn(!!(condition), __FILE__, __LINE__, __func__)
#define DEADWALK_WARN_ONCE(condition) \
	(__extension__ ({ \
		static int deadwalk_warned_; \
		deadwalk_warn_once(!!(condition), &deadwalk_warned_, __FILE__, __LINE__, \
				   __func__); \
	}))

#ifndef WARN_ON
#define WARN_ON(condition) DEADWALK_WARN(condition)
#endif
#ifndef WARN_ON_ONCE
#define WARN_ON_ONCE(condition) DEADWALK_WARN_ONCE(condition)
#endif
#ifndef WARN
#define WARN(condition, ...) (DEADWALK_WARN(condition) ? (printk(__VA_ARGS__), 1) : 0)
#endif
#ifndef WARN_ONCE
#define WARN_ONCE(condition, ...) (DEADWALK_WARN_ONCE(condition) ? (printk(__VA_ARGS__), 1) : 0)
#endif

#ifndef BUG
#define BUG() \
	do { \
		fprintf(stderr, "BUG: at %s:%d %s()\n", __FILE__, __LINE__, __func__); \
		__builtin_abort(); \
	} while (0)
#endif
#ifndef BUG_ON
#define BUG_ON(condition) \
	do { \
		if (unlikely(condition)) \
			BUG(); \
	} while (0)
#endif
#ifndef panic
#define panic(...) (printk("Kernel panic: " __VA_ARGS__), printk("\n"), __builtin_abort())
#endif

#ifndef WARN_ON_SMP
#define WARN_ON_SMP(condition) WARN_ON(condition)
#endif
#ifndef BUILD_BUG_ON_MSG
#define BUILD_BUG_ON_MSG(condition, text) BUILD_BUG_ON(condition)
#endif
#if !defined(__cplusplus) && !defined(static_assert) \
	&& (!defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L)
#define static_assert _Static_assert
#endif
#ifndef BUILD_BUG_ON_ZERO
#define BUILD_BUG_ON_ZERO(condition) (0 * sizeof(char[1 - 2 * !!(condition)]))
#endif
#ifndef BUILD_BUG_ON
#define BUILD_BUG_ON(condition) ((void)sizeof(char[1 - 2 * !!(condition)]))
#endif

#endif
