/*
 * deadwalk: interrupts, of which there are none, and the sections of 2.x that kept
 * them out of all processors.
 *
 * A section is one lock for the program, which its holder may take again: from cli()
 * to the sti() or restore_flags() that ends it no other thread is in one. So what
 * only sections touch, a timer's handler's included, is as safe as it was. But a
 * handler that begins no section runs at the same time, and a delete in a section
 * does not wait for it. (In 2.2 and 2.4 cli() waited for the bottom halves, in which
 * timers ran.)
 *
 * What is for one processor only (local_irq_*, __cli) has no effect: the other
 * processors' handlers it never kept out.
 */
#ifndef DEADWALK_IRQFLAGS_H
#define DEADWALK_IRQFLAGS_H

#ifdef __cplusplus
extern "C" {
#endif

extern void deadwalk_cli(void);
extern void deadwalk_sti(void);
/* 0 in a section, else the bit of the processor's flags. */
extern unsigned long deadwalk_save_flags(void);
extern void deadwalk_restore_flags(unsigned long);
/* Is the caller a timer's handler? */
extern int deadwalk_in_handler(void);

#ifdef __cplusplus
}
#endif

#ifndef cli
#define cli() deadwalk_cli()
#define sti() deadwalk_sti()
#define save_flags(flags) ((void)((flags) = deadwalk_save_flags()))
#define restore_flags(flags) deadwalk_restore_flags(flags)
#define save_and_cli(flags) (save_flags(flags), cli())
#define save_flags_cli(flags) save_and_cli(flags)
#define save_and_sti(flags) (save_flags(flags), sti())
#define __cli() local_irq_disable()
#define __sti() local_irq_enable()
#define __save_flags(flags) local_save_flags(flags)
#define __restore_flags(flags) local_irq_restore(flags)
#define __save_and_cli(flags) local_irq_save(flags)
#endif

#define local_save_flags(flags) ((void)((flags) = deadwalk_save_flags()))
#define local_irq_save(flags) local_save_flags(flags)
#define local_irq_restore(flags) ((void)(flags))
#define local_irq_disable() ((void)0)
#define local_irq_enable() ((void)0)
#define irqs_disabled() (!deadwalk_save_flags())
#define irqs_disabled_flags(flags) (!(flags))

#define local_bh_disable() ((void)0)
#define local_bh_enable() ((void)0)
#define preempt_disable() ((void)0)
#define preempt_enable() ((void)0)

#define in_softirq() deadwalk_in_handler()
#define in_serving_softirq() deadwalk_in_handler()
#define in_interrupt() deadwalk_in_handler()
#define in_atomic() deadwalk_in_handler()
#define in_task() (!deadwalk_in_handler())
#define in_irq() 0
#define in_hardirq() 0

#endif
