/*
 * deadwalk: the few general names that kernel-style code takes for granted.
 */
#ifndef DEADWALK_KERNEL_H
#define DEADWALK_KERNEL_H

#include <stdio.h>

#include <deadwalk/list_head.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#endif

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

#ifndef barrier
#define barrier() __asm__ __volatile__("" : : : "memory")
#endif
#ifndef mb
#define mb() __sync_synchronize()
#endif
#ifndef cpu_relax
#define cpu_relax() __builtin_ia32_pause()
#endif

/* Levels say nothing here: every message goes to stderr. */
#ifndef KERN_INFO
#define KERN_EMERG ""
#define KERN_ALERT ""
#define KERN_CRIT ""
#define KERN_ERR ""
#define KERN_WARNING ""
#define KERN_NOTICE ""
#define KERN_INFO ""
#define KERN_DEBUG ""
#define KERN_CONT ""
#endif

#ifndef printk
#define printk(...) fprintf(stderr, __VA_ARGS__)
#endif
#ifndef pr_info
#define pr_err(...) printk(__VA_ARGS__)
#define pr_warn(...) printk(__VA_ARGS__)
#define pr_info(...) printk(__VA_ARGS__)
#endif

#endif
