/*
 * deadwalk: the general names that kernel-style code takes for granted.
 */
#ifndef DEADWALK_KERNEL_H
#define DEADWALK_KERNEL_H

#include <deadwalk/bug.h>
#include <deadwalk/compiler.h>
#include <deadwalk/delay.h>
#include <deadwalk/err.h>
#include <deadwalk/errno.h>
#include <deadwalk/list_head.h>
#include <deadwalk/minmax.h>
#include <deadwalk/printk.h>
#include <deadwalk/string.h>
#include <deadwalk/types.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#endif
#ifndef DIV_ROUND_UP
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#endif
#ifndef BIT
#define BIT(n) (1UL << (n))
#endif

#endif
