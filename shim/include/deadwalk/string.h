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

#endif
