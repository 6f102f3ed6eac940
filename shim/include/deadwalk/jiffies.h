/*
 * deadwalk: the tick counter.
 */
#ifndef DEADWALK_JIFFIES_H
#define DEADWALK_JIFFIES_H

/*
 * Ticks a second. Kernel code uses it in constant expressions, so it is one
 * here: the library ticks at its option `hz`, which must agree (both are 100 if
 * nobody says otherwise). A program that wants another rate is compiled with
 * -DHZ=1000, say, and run with the option hz=1000.
 */
#ifndef HZ
#define HZ 100
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Counts up HZ times a second, from INITIAL_JIFFIES: so it wraps on a machine
 * of 32 bits, and passes 0 here, five minutes after the start. */
extern volatile unsigned long jiffies __asm__("deadwalk_jiffies");
#define INITIAL_JIFFIES ((unsigned long)(-300L * (long)HZ))

/* Starts the ticks; more calls do no more. Every program that includes this
 * header calls it before main. */
extern void deadwalk_timer_start(void);

static void __attribute__((constructor, used)) deadwalk_jiffies_run(void)
{
	deadwalk_timer_start();
}

#ifdef __cplusplus
}
#endif

/* Is a later than b? Right across the wrap, if they are less than half of the
 * counter's range apart. */
#define time_after(a, b) ((long)((unsigned long)(b) - (unsigned long)(a)) < 0)
#define time_before(a, b) time_after(b, a)
#define time_after_eq(a, b) ((long)((unsigned long)(a) - (unsigned long)(b)) >= 0)
#define time_before_eq(a, b) time_after_eq(b, a)
#define time_in_range(a, b, c) (time_after_eq(a, b) && time_before_eq(a, c))
#define time_is_before_jiffies(a) time_after(jiffies, a)
#define time_is_after_jiffies(a) time_before(jiffies, a)

/* The longest time that these comparisons can tell; what a conversion gives for
 * a time that is too long. */
#define MAX_JIFFY_OFFSET ((unsigned long)((~0UL >> 1) - 1))

static __inline__ unsigned int jiffies_to_msecs(unsigned long j)
{
	return (unsigned int)(j * 1000UL / HZ);
}

static __inline__ unsigned int jiffies_to_usecs(unsigned long j)
{
	return (unsigned int)(j * 1000000UL / HZ);
}

/* Rounds up: a wait is never shorter than what was asked for. */
static __inline__ unsigned long msecs_to_jiffies(unsigned int ms)
{
	return (int)ms < 0 ? MAX_JIFFY_OFFSET : ((unsigned long)ms * HZ + 999UL) / 1000UL;
}

static __inline__ unsigned long usecs_to_jiffies(unsigned int us)
{
	return ((unsigned long)us * HZ + 999999UL) / 1000000UL;
}

#endif
