/*
 * deadwalk: the kernel's timer_list in user space, every call checked and
 * counted.
 *
 * Three generations of the interface meet in one program:
 *
 *   2.2 - 2.5    init_timer, INIT_TIMER*, positional initialisers, del_timer
 *   2.6 - 4.14   setup_timer, DEFINE_TIMER(name, fn, expires, data)
 *   4.15 on      timer_setup, DEFINE_TIMER(name, fn), from_timer, timer_delete
 *
 * What the functions do under which delete policy is told in docs/. No state
 * that the library relies on lives in the structure.
 *
 * `timer_delete` is the name of a POSIX function too: on a `struct timer_list *`
 * the kernel's is called, on anything else, by `(timer_delete)(t)` or through
 * its address POSIX's. So a member of that name cannot be called
 * (`ops->timer_delete(t)`) unless this header comes after it or the macro is
 * undefined.
 */
#ifndef DEADWALK_TIMER_H
#define DEADWALK_TIMER_H

#include <stddef.h>
#include <time.h> /* before timer_delete becomes a macro */

#include <deadwalk/jiffies.h>
#include <deadwalk/list_head.h>

/*
 * The type of `function`. Up to 4.14 a handler gets `data`, from then on the
 * timer. Where C has function types without a prototype, both can be assigned,
 * compared and called with neither cast nor warning. C23 has none, and newer
 * compilers warn of them: there a handler of the timer is assigned with the
 * warning for incompatible pointers switched off, from here to the end of the
 * file (DEADWALK_STRICT_HANDLERS leaves it on), and compared with a cast.
 */
#if !defined(__cplusplus) && !defined(__clang__) && __GNUC__ < 15 && \
	(!defined(__STDC_VERSION__) || __STDC_VERSION__ <= 201710L)
#define DEADWALK_HANDLER_ARGS
#else
#define DEADWALK_HANDLER_ARGS unsigned long
#if !defined(__cplusplus) && !defined(DEADWALK_STRICT_HANDLERS)
#ifdef __clang__
#pragma clang diagnostic ignored "-Wincompatible-function-pointer-types"
#else
#pragma GCC diagnostic ignored "-Wincompatible-pointer-types"
#endif
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#endif
struct timer_list {
	/* Neither is a link: while the timer is pending they hold a canary. */
	__extension__ union {
		struct list_head list;
		struct list_head entry;
	};
	unsigned long expires;
	unsigned long data;
	void (*function)(DEADWALK_HANDLER_ARGS);
	/* Only of timers that one of the initialisers of this header saw. */
	volatile int running;
	unsigned int flags;
};
#ifndef __cplusplus
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
#define DEADWALK_ASSERT(what, why) static_assert(what, why)
#else
#define DEADWALK_ASSERT(what, why) __extension__ _Static_assert(what, why)
#endif
DEADWALK_ASSERT(offsetof(struct timer_list, list) == 0, "as in 2.4");
DEADWALK_ASSERT(offsetof(struct timer_list, entry) == 0, "as in 2.4");
DEADWALK_ASSERT(offsetof(struct timer_list, expires) == 16, "as in 2.4");
DEADWALK_ASSERT(offsetof(struct timer_list, data) == 24, "as in 2.4");
DEADWALK_ASSERT(offsetof(struct timer_list, function) == 32, "as in 2.4");
DEADWALK_ASSERT(offsetof(struct timer_list, running) == 40, "behind the fields of 2.4");
DEADWALK_ASSERT(offsetof(struct timer_list, flags) == 44, "the library's layout");
DEADWALK_ASSERT(sizeof(struct timer_list) == 48, "the library's layout");

/* Flags of timer_setup; kept, and without effect. */
#define TIMER_CPUMASK 0x0003ffffu
#define TIMER_MIGRATING 0x00040000u
#define TIMER_BASEMASK (TIMER_CPUMASK | TIMER_MIGRATING)
#define TIMER_DEFERRABLE 0x00080000u
#define TIMER_PINNED 0x00100000u
#define TIMER_IRQSAFE 0x00200000u

/* list.prev of what a static initialiser made: TIMER_ENTRY_STATIC with the
 * kernel's offset of poison pointers. list.next is NULL, so that it reads as
 * not pending. */
#define DEADWALK_TIMER_STATIC ((struct list_head *)0xdead000000000300UL)
/* data of TIMER_INITIALIZER(fn): stands for the timer's own address. */
#define DEADWALK_TIMER_SELF 0xdead000000000400UL

#define DEADWALK_TIMER_INIT(fn, expires, data, flags) \
	{ { { NULL, DEADWALK_TIMER_STATIC } }, (expires), (data), (fn), 0, (flags) }

/* A handler of any generation as the type of the field. */
#define DEADWALK_HANDLER(fn) ((void (*)(unsigned long))(void (*)(void))(fn))

/* The form of a macro, by how many arguments it is given: 1 to 4. */
#define DEADWALK_FORM(a, b, c, d, form, ...) form

/* 2.4 with the patch of the mail. The older `{ NULL, NULL, 0, 0, fn }` works. */
#define INIT_TIMER DEADWALK_TIMER_INIT(NULL, 0, 0, 0)
#define INIT_TIMER_FN(fn) DEADWALK_TIMER_INIT(fn, 0, 0, 0)
#define INIT_TIMER_FND(fn, data) DEADWALK_TIMER_INIT(fn, 0, data, 0)

/* TIMER_INITIALIZER(fn, expires, data) to 4.14, TIMER_INITIALIZER(fn) after. */
#define TIMER_INITIALIZER(...) \
	DEADWALK_FORM(__VA_ARGS__, DEADWALK_NO_SUCH_FORM, DEADWALK_INITIALIZER_3, \
		      DEADWALK_NO_SUCH_FORM, DEADWALK_INITIALIZER_1, ~)(__VA_ARGS__)
#define DEADWALK_INITIALIZER_3(fn, expires, data) DEADWALK_TIMER_INIT(fn, expires, data, 0)
#define DEADWALK_INITIALIZER_1(fn) \
	DEADWALK_TIMER_INIT(DEADWALK_HANDLER(fn), 0, DEADWALK_TIMER_SELF, 0)

#define TIMER_DEFERRED_INITIALIZER(fn, expires, data) \
	DEADWALK_TIMER_INIT(fn, expires, data, TIMER_DEFERRABLE)
#define TIMER_PINNED_INITIALIZER(fn, expires, data) \
	DEADWALK_TIMER_INIT(fn, expires, data, TIMER_PINNED)

/* The same with flags behind. */
#define __TIMER_INITIALIZER(...) \
	DEADWALK_FORM(__VA_ARGS__, DEADWALK_TIMER_INIT, DEADWALK_NO_SUCH_FORM, \
		      DEADWALK_INITIALIZER_2, DEADWALK_NO_SUCH_FORM, ~)(__VA_ARGS__)
#define DEADWALK_INITIALIZER_2(fn, flags) \
	DEADWALK_TIMER_INIT(DEADWALK_HANDLER(fn), 0, DEADWALK_TIMER_SELF, flags)

/* DEFINE_TIMER(name, fn, expires, data) to 4.14, DEFINE_TIMER(name, fn) after. */
#define DEFINE_TIMER(...) \
	DEADWALK_FORM(__VA_ARGS__, DEADWALK_DEFINE_4, DEADWALK_NO_SUCH_FORM, \
		      DEADWALK_DEFINE_2, DEADWALK_NO_SUCH_FORM, ~)(__VA_ARGS__)
#define DEADWALK_DEFINE_4(name, fn, expires, data) \
	struct timer_list name = DEADWALK_INITIALIZER_3(fn, expires, data)
#define DEADWALK_DEFINE_2(name, fn) struct timer_list name = DEADWALK_INITIALIZER_1(fn)

/* The object that holds the timer a handler was called with. */
#define from_timer(var, timer, field) container_of(timer, __typeof__(*(var)), field)
#define timer_container_of(var, timer, field) from_timer(var, timer, field)

#define DEADWALK_NAMED(name) __asm__("deadwalk_" #name)

extern void init_timer(struct timer_list *) DEADWALK_NAMED(init_timer);
extern void timer_setup(struct timer_list *, void (*)(struct timer_list *), unsigned int)
	DEADWALK_NAMED(timer_setup);
extern void timer_setup_on_stack(struct timer_list *, void (*)(struct timer_list *),
				 unsigned int) DEADWALK_NAMED(timer_setup_on_stack);
extern void destroy_timer_on_stack(struct timer_list *) DEADWALK_NAMED(destroy_timer_on_stack);

extern void add_timer(struct timer_list *) DEADWALK_NAMED(add_timer);
extern void add_timer_on(struct timer_list *, int) DEADWALK_NAMED(add_timer_on);
extern int mod_timer(struct timer_list *, unsigned long) DEADWALK_NAMED(mod_timer);
extern int mod_timer_pending(struct timer_list *, unsigned long)
	DEADWALK_NAMED(mod_timer_pending);
extern int timer_reduce(struct timer_list *, unsigned long) DEADWALK_NAMED(timer_reduce);
extern int timer_pending(const struct timer_list *) DEADWALK_NAMED(timer_pending);

/* In parentheses: a program may have a macro of such a name, to try another delete. */
extern int (del_timer)(struct timer_list *) DEADWALK_NAMED(del_timer);
extern int (del_timer_async)(struct timer_list *) DEADWALK_NAMED(del_timer_async);
extern int (del_timer_sync)(struct timer_list *) DEADWALK_NAMED(del_timer_sync);
extern int (try_to_del_timer_sync)(struct timer_list *) DEADWALK_NAMED(try_to_del_timer_sync);
extern int deadwalk_timer_delete(struct timer_list *);
extern int (timer_delete_sync)(struct timer_list *) DEADWALK_NAMED(timer_delete_sync);
extern int (timer_delete_sync_try)(struct timer_list *) DEADWALK_NAMED(timer_delete_sync_try);
extern int (timer_shutdown)(struct timer_list *) DEADWALK_NAMED(timer_shutdown);
extern int (timer_shutdown_sync)(struct timer_list *) DEADWALK_NAMED(timer_shutdown_sync);

/*
 * Of 2.3 only. Many a module calls its own exit function so, and such code includes
 * <linux/timer.h>: there it is declared only if DEADWALK_TIMER_EXIT is defined.
 */
#if !defined DEADWALK_LINUX_TIMER_H || defined DEADWALK_TIMER_EXIT
extern void timer_exit(struct timer_list *) DEADWALK_NAMED(timer_exit);
#endif
extern void sync_timers(void) DEADWALK_NAMED(sync_timers);
extern void wait_on_timers(void) DEADWALK_NAMED(wait_on_timers);

/* Up to 4.14 by its numbers, from 4.15 to 6.14 by its callback. */
#define TIMER_DATA_TYPE unsigned long
#define TIMER_FUNC_TYPE void (*)(TIMER_DATA_TYPE)
#define __init_timer(timer, ...) \
	DEADWALK_FORM(__VA_ARGS__, ~, DEADWALK_NO_SUCH_FORM, timer_setup, \
		      DEADWALK_INIT_FLAGS, ~)(timer, __VA_ARGS__)
#define DEADWALK_INIT_FLAGS(timer, flags) ((void)(flags), init_timer(timer))

/* Macros, so that reports name the function they stand in. */
#define setup_timer(timer, fn, d) \
	do { \
		struct timer_list *deadwalk_timer_ = (timer); \
		init_timer(deadwalk_timer_); \
		deadwalk_timer_->function = (fn); \
		deadwalk_timer_->data = (d); \
	} while (0)
#define setup_timer_on_stack(timer, fn, d) \
	do { \
		struct timer_list *deadwalk_timer_ = (timer); \
		timer_setup_on_stack(deadwalk_timer_, NULL, 0); \
		deadwalk_timer_->function = (fn); \
		deadwalk_timer_->data = (d); \
	} while (0)
#define init_timer_on_stack(timer) timer_setup_on_stack(timer, NULL, 0)
#define timer_destroy_on_stack(timer) destroy_timer_on_stack(timer)
#define del_singleshot_timer_sync(timer) del_timer_sync(timer)

/* Nothing is deferred, pinned or late here: the same as the plain ones. */
#define init_timer_deferrable(timer) init_timer(timer)
#define init_timer_pinned(timer) init_timer(timer)
#define setup_deferrable_timer(timer, fn, d) setup_timer(timer, fn, d)
#define setup_deferrable_timer_on_stack(timer, fn, d) setup_timer_on_stack(timer, fn, d)
#define setup_pinned_timer(timer, fn, d) setup_timer(timer, fn, d)
#define setup_pinned_timer_on_stack(timer, fn, d) setup_timer_on_stack(timer, fn, d)
#define __setup_timer(timer, fn, d, flags) \
	do { \
		(void)(flags); \
		setup_timer(timer, fn, d); \
	} while (0)
#define mod_timer_pinned(timer, expires) mod_timer(timer, expires)
#define add_timer_local(timer) add_timer(timer)
#define add_timer_global(timer) add_timer(timer)
#define set_timer_slack(timer, slack) ((void)(timer), (void)(slack))

#ifdef __cplusplus
} /* extern "C" */
static inline int timer_delete(struct timer_list *timer)
{
	return deadwalk_timer_delete(timer);
}
#else
#ifndef __USE_POSIX199309
/* A strict standard hides POSIX's from <time.h>, but the macro has to name it. */
extern int timer_delete(void *);
#endif
#define timer_delete(timer) \
	(__extension__ _Generic((timer), \
		struct timer_list *: deadwalk_timer_delete, \
		default: (timer_delete))(timer))
#endif

#endif
