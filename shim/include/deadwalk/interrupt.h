/*
 * deadwalk: interrupt handlers, which nobody calls: a program that simulates a device
 * calls its driver's itself.
 */
#ifndef DEADWALK_INTERRUPT_H
#define DEADWALK_INTERRUPT_H

#include <deadwalk/irqflags.h>
#include <deadwalk/sched.h>

/* Handlers of 2.x were given the interrupted registers. */
struct pt_regs;

typedef enum { IRQ_NONE, IRQ_HANDLED, IRQ_WAKE_THREAD } irqreturn_t;
#define IRQ_RETVAL(x) ((x) ? IRQ_HANDLED : IRQ_NONE)

#define IRQF_SHARED 0x80u
#define SA_SHIRQ IRQF_SHARED
#define SA_INTERRUPT 0x20000000u

#define enable_irq(irq) ((void)(irq))
#define disable_irq(irq) ((void)(irq))
#define disable_irq_nosync(irq) ((void)(irq))
/* 2.x gave it no argument. */
#define synchronize_irq(...) ((void)0)

#endif
