/*
 * deadwalk: the general names that kernel-style code takes for granted.
 */
#ifndef DEADWALK_KERNEL_H
#define DEADWALK_KERNEL_H

#include <deadwalk/bitops.h>
#include <deadwalk/bug.h>
#include <deadwalk/compiler.h>
#include <deadwalk/delay.h>
#include <deadwalk/err.h>
#include <deadwalk/errno.h>
#include <deadwalk/list_head.h>
#include <deadwalk/math.h>
#include <deadwalk/minmax.h>
#include <deadwalk/printk.h>
#include <deadwalk/string.h>
#include <deadwalk/types.h>

/* Not in compiler.h: other code may write attributes by these names. */
#ifndef noinline
#define noinline __attribute__((__noinline__))
#endif
#ifndef fallthrough
#if defined(__GNUC__) && __GNUC__ >= 7
#define fallthrough __attribute__((__fallthrough__))
#else
#define fallthrough ((void)0)
#endif
#endif

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#endif
#ifndef scnprintf
#define scnprintf(to, size, ...) deadwalk_scnprintf(to, size, __VA_ARGS__)
#endif
#ifndef simple_strtoul
#define simple_strtoul(text, end, base) deadwalk_strtoul(text, end, base)
#define simple_strtol(text, end, base) deadwalk_strtol(text, end, base)
#endif
#ifndef dump_stack
#define dump_stack() ((void)0)
#endif

#ifdef __cplusplus
extern "C" {
#endif
/* Without <stdlib.h>. */
extern unsigned long deadwalk_strtoul(const char *, char **, int) __asm__("strtoul");
extern long deadwalk_strtol(const char *, char **, int) __asm__("strtol");

/* How many characters it wrote, not how many there would be. */
static __inline__ int deadwalk_scnprintf(char *, size_t, const char *, ...)
	__attribute__((unused, format(printf, 3, 4)));
static __inline__ int deadwalk_scnprintf(char *to, size_t size, const char *format, ...)
{
	__builtin_va_list args;
	int length;

	__builtin_va_start(args, format);
	length = __builtin_vsnprintf(to, size, format, args);
	__builtin_va_end(args);
	if (!size || length < 0)
		return 0;
	return (size_t)length < size ? length : (int)size - 1;
}
#ifdef __cplusplus
}
#endif

#endif
