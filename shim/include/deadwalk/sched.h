/*
 * deadwalk: waiting for a time. A thread's state is kept and decides nothing: there
 * are no wait queues, nobody is woken early.
 */
#ifndef DEADWALK_SCHED_H
#define DEADWALK_SCHED_H

#include <deadwalk/delay.h>
#include <deadwalk/jiffies.h>

#define TASK_RUNNING 0
#define TASK_INTERRUPTIBLE 1
#define TASK_UNINTERRUPTIBLE 2

struct task_struct {
	volatile long state;
};

static __thread struct task_struct deadwalk_task __attribute__((unused));

/* C++'s own library has functions of these names. */
#ifndef __cplusplus
#ifndef current
#define current (&deadwalk_task)
#endif
#ifndef schedule
#define schedule() ((void)deadwalk_yield(), __set_current_state(TASK_RUNNING))
#endif
#ifndef yield
#define yield() ((void)deadwalk_yield())
#endif
#endif
#ifndef set_current_state
#define set_current_state(value) ((void)(deadwalk_task.state = (value)))
#define __set_current_state(value) set_current_state(value)
#endif

#ifdef __cplusplus
extern "C" {
#endif
/* Under its own name <sched.h> declares it, in C++ with another specification. */
extern int deadwalk_yield(void) __asm__("sched_yield");

/* What is left, which is always nothing. */
static __inline__ long deadwalk_schedule_timeout(long left)
{
	if (left > 0)
		deadwalk_sleep_ns((unsigned long)left * (1000000000UL / HZ));
	deadwalk_task.state = TASK_RUNNING;
	return 0;
}
#ifdef __cplusplus
}
#endif

#ifndef schedule_timeout
#define schedule_timeout(left) deadwalk_schedule_timeout(left)
#define schedule_timeout_interruptible(left) schedule_timeout(left)
#define schedule_timeout_uninterruptible(left) schedule_timeout(left)
#define schedule_timeout_killable(left) schedule_timeout(left)
#endif
#ifndef signal_pending
#define signal_pending(task) ((void)(task), 0)
#endif
#ifndef need_resched
#define need_resched() 0
#endif

#endif
