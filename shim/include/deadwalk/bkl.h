/*
 * deadwalk: the big kernel lock of 2.x: one, and counted.
 */
#ifndef DEADWALK_BKL_H
#define DEADWALK_BKL_H

#include <deadwalk/sched.h>

#ifdef __cplusplus
extern "C" {
#endif

extern void lock_kernel(void) __asm__("deadwalk_lock_kernel");
extern void unlock_kernel(void) __asm__("deadwalk_unlock_kernel");
extern int kernel_locked(void) __asm__("deadwalk_kernel_locked");

#ifdef __cplusplus
}
#endif

#endif
