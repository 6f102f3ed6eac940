/*
 * deadwalk: messages. All go to stderr, whatever their level; nothing limits
 * their rate.
 */
#ifndef DEADWALK_PRINTK_H
#define DEADWALK_PRINTK_H

#include <stdio.h>

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
#define KERN_DEFAULT ""
#endif

/* What pr_fmt mostly is; -DKBUILD_MODNAME='"name"' says better. */
#ifndef KBUILD_MODNAME
#define KBUILD_MODNAME "module"
#endif

#ifndef printk
#define printk(...) fprintf(stderr, __VA_ARGS__)
#endif
/* What pr_info and the like put in front. A function, so that a driver that is
 * included after this still defines its macro, which then counts. */
#ifndef pr_fmt
static __inline__ const char *pr_fmt(const char *) __attribute__((unused, format_arg(1)));
static __inline__ const char *pr_fmt(const char *format)
{
	return format;
}
#endif

#ifndef pr_emerg
#define pr_emerg(fmt, ...) printk(pr_fmt(fmt), ##__VA_ARGS__)
#endif
#ifndef pr_alert
#define pr_alert(fmt, ...) printk(pr_fmt(fmt), ##__VA_ARGS__)
#endif
#ifndef pr_crit
#define pr_crit(fmt, ...) printk(pr_fmt(fmt), ##__VA_ARGS__)
#endif
#ifndef pr_err
#define pr_err(fmt, ...) printk(pr_fmt(fmt), ##__VA_ARGS__)
#endif
#ifndef pr_warn
#define pr_warn(fmt, ...) printk(pr_fmt(fmt), ##__VA_ARGS__)
#endif
#ifndef pr_warning
#define pr_warning(fmt, ...) pr_warn(fmt, ##__VA_ARGS__)
#endif
#ifndef pr_notice
#define pr_notice(fmt, ...) printk(pr_fmt(fmt), ##__VA_ARGS__)
#endif
#ifndef pr_info
#define pr_info(fmt, ...) printk(pr_fmt(fmt), ##__VA_ARGS__)
#endif
#ifndef pr_cont
#define pr_cont(fmt, ...) printk(KERN_CONT fmt, ##__VA_ARGS__)
#endif

/* Its arguments are looked at by the compiler, and never evaluated. */
#ifndef no_printk
#define no_printk(...) ((void)(0 && printk(__VA_ARGS__)))
#endif
#ifndef pr_debug
#ifdef DEBUG
#define pr_debug(fmt, ...) printk(pr_fmt(fmt), ##__VA_ARGS__)
#else
#define pr_debug(fmt, ...) no_printk(pr_fmt(fmt), ##__VA_ARGS__)
#endif
#endif
#ifndef pr_devel
#define pr_devel(fmt, ...) pr_debug(fmt, ##__VA_ARGS__)
#endif

#ifndef printk_once
#define printk_once(...) \
	do { \
		static int deadwalk_printed_; \
		if (!__atomic_exchange_n(&deadwalk_printed_, 1, __ATOMIC_RELAXED)) \
			printk(__VA_ARGS__); \
	} while (0)
#endif
#ifndef pr_info_once
#define pr_err_once(fmt, ...) printk_once(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_warn_once(fmt, ...) printk_once(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_info_once(fmt, ...) printk_once(pr_fmt(fmt), ##__VA_ARGS__)
#endif
#ifndef printk_ratelimit
#define printk_ratelimit() 1
#define printk_ratelimited(...) printk(__VA_ARGS__)
#define pr_err_ratelimited(fmt, ...) pr_err(fmt, ##__VA_ARGS__)
#define pr_warn_ratelimited(fmt, ...) pr_warn(fmt, ##__VA_ARGS__)
#define pr_info_ratelimited(fmt, ...) pr_info(fmt, ##__VA_ARGS__)
#define pr_debug_ratelimited(fmt, ...) pr_debug(fmt, ##__VA_ARGS__)
#endif

#endif
