/* Stub: the current task gets no signals. */
#ifndef STUB_SCHED_SIGNAL_H
#define STUB_SCHED_SIGNAL_H

#include <linux/sched.h>

#define signal_pending(task) ((void)(task), 0)

#endif
