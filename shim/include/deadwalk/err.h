/*
 * deadwalk: error numbers in pointers: the last page of addresses.
 */
#ifndef DEADWALK_ERR_H
#define DEADWALK_ERR_H

#include <deadwalk/errno.h>

#ifndef MAX_ERRNO
#define MAX_ERRNO 4095
#endif
#ifndef IS_ERR_VALUE
#define IS_ERR_VALUE(x) ((unsigned long)(void *)(x) >= (unsigned long)-MAX_ERRNO)
#endif
#ifndef IS_ERR
#define IS_ERR(ptr) IS_ERR_VALUE((unsigned long)(ptr))
#endif
#ifndef IS_ERR_OR_NULL
#define IS_ERR_OR_NULL(ptr) (!(ptr) || IS_ERR(ptr))
#endif
#ifndef PTR_ERR
#define PTR_ERR(ptr) ((long)(ptr))
#endif
#ifndef ERR_PTR
#define ERR_PTR(error) ((void *)(long)(error))
#endif
#ifndef ERR_CAST
#define ERR_CAST(ptr) ((void *)(ptr))
#endif
#ifndef PTR_ERR_OR_ZERO
#define PTR_ERR_OR_ZERO(ptr) (IS_ERR(ptr) ? PTR_ERR(ptr) : 0)
#endif

#endif
