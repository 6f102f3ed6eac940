/*
 * deadwalk: the C library's string functions without index(), which code of the
 * kernel may use as a name of its own. A program that calls it includes
 * <string.h> before this.
 */
#ifndef DEADWALK_STRING_H
#define DEADWALK_STRING_H

#if defined(__cplusplus) || defined(index)
#include <string.h>
#else
#define index deadwalk_not_index
#include <string.h>
#undef index
#endif

#ifdef __cplusplus
extern "C" {
#endif
/* Copies what fits with a NUL; how long it is, or -E2BIG if not all fitted. */
static __inline__ long deadwalk_strscpy(char *to, const char *from, size_t size)
{
	size_t length = 0;

	if (!size)
		return -7;
	while (length + 1 < size && from[length])
		length++;
	__builtin_memcpy(to, from, length);
	to[length] = '\0';
	return from[length] ? -7 : (long)length;
}

/* The same, but it tells how long `from` is. */
static __inline__ size_t deadwalk_strlcpy(char *to, const char *from, size_t size)
{
	deadwalk_strscpy(to, from, size);
	return __builtin_strlen(from);
}
#ifdef __cplusplus
}
#endif
#ifndef strlcpy
#define strlcpy(to, from, size) deadwalk_strlcpy(to, from, size)
#endif
#ifndef strscpy
#define strscpy(to, from, size) deadwalk_strscpy(to, from, size)
#endif

#endif
