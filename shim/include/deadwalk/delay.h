/*
 * deadwalk: delays. All of them sleep, also those that spin in the kernel; in
 * real time, also where deadwalk_timer_advance has made the timers' virtual.
 *
 * Without <unistd.h>: drivers call functions of their own read, write and open.
 */
#ifndef DEADWALK_DELAY_H
#define DEADWALK_DELAY_H

#ifdef __cplusplus
extern "C" {
#endif

/* Under a strict standard <time.h> has neither this nor its structure. */
struct deadwalk_timespec {
	long sec, nsec;
};
extern int deadwalk_nanosleep(const struct deadwalk_timespec *, struct deadwalk_timespec *)
	__asm__("nanosleep");

static __inline__ void deadwalk_sleep_ns(unsigned long ns)
{
	struct deadwalk_timespec left = { (long)(ns / 1000000000), (long)(ns % 1000000000) };

	/* A signal cuts it short: then it says what is left. */
	while (deadwalk_nanosleep(&left, &left))
		;
}

#ifdef __cplusplus
}
#endif

#ifndef ndelay
#define ndelay(ns) deadwalk_sleep_ns((unsigned long)(ns))
#endif
#ifndef udelay
#define udelay(us) deadwalk_sleep_ns((unsigned long)(us) * 1000UL)
#endif
#ifndef mdelay
#define mdelay(ms) deadwalk_sleep_ns((unsigned long)(ms) * 1000000UL)
#endif
#ifndef usleep_range
#define usleep_range(least, most) ((void)(most), udelay(least))
#endif
#ifndef fsleep
#define fsleep(us) udelay(us)
#endif
#ifndef msleep
#define msleep(ms) mdelay(ms)
#endif
#ifndef msleep_interruptible
#define msleep_interruptible(ms) (mdelay(ms), 0UL)
#endif
#ifndef ssleep
#define ssleep(s) mdelay((unsigned long)(s) * 1000UL)
#endif

#ifndef might_sleep
#define might_sleep() ((void)0)
#endif
#ifndef might_sleep_if
#define might_sleep_if(condition) ((void)(condition))
#endif
#ifndef cond_resched
#define cond_resched() 0
#endif

#endif
