/*
 * deadwalk: the kernel's names of integers, and the C library's that are the
 * kernel's too (dev_t, loff_t, size_t).
 *
 * A program that has its own u8 to s64 defines DEADWALK_OWN_INTS.
 */
#ifndef DEADWALK_TYPES_H
#define DEADWALK_TYPES_H

#include <stddef.h>
#include <sys/types.h>
#include <linux/types.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif

/* As <linux/types.h> has them, of which other headers take them. */
#include <deadwalk/atomic_types.h>
#include <deadwalk/gfp.h>
#include <deadwalk/list_head.h>
typedef unsigned short umode_t;
typedef unsigned long phys_addr_t;
typedef unsigned long dma_addr_t;
typedef unsigned long resource_size_t;
typedef long long time64_t;

#ifndef DEADWALK_OWN_INTS
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
#endif

#endif
