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
#define jiffies_64 ((unsigned long long)jiffies)
#define get_jiffies_64() jiffies_64
#define INITIAL_JIFFIES ((unsigned long)(-300L * (long)HZ))

/* Starts the ticks; more calls do no more. */
extern void deadwalk_timer_start(void);
/* The same, and warns if the library ticks at another rate. Older ones have not
 * got it. */
extern void deadwalk_timer_start_hz(unsigned int) __attribute__((weak));

/* In every program that includes this header, before main. */
static void __attribute__((constructor, used)) deadwalk_jiffies_run(void)
{
	if (deadwalk_timer_start_hz)
		deadwalk_timer_start_hz(HZ);
	else
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
#define time_in_range_open(a, b, c) (time_after_eq(a, b) && time_before(a, c))
#define time_is_before_jiffies(a) time_after(jiffies, a)
#define time_is_before_eq_jiffies(a) time_after_eq(jiffies, a)
#define time_is_after_jiffies(a) time_before(jiffies, a)
#define time_is_after_eq_jiffies(a) time_before_eq(jiffies, a)
#define time_after64(a, b) time_after(a, b)
#define time_before64(a, b) time_before(a, b)
#define time_after_eq64(a, b) time_after_eq(a, b)
#define time_before_eq64(a, b) time_before_eq(a, b)
#define time_in_range64(a, b, c) time_in_range(a, b, c)

/* The longest time that these comparisons can tell; what a conversion gives for
 * a time that is too long. */
#define MAX_JIFFY_OFFSET ((unsigned long)((~0UL >> 1) - 1))
#define MAX_SCHEDULE_TIMEOUT ((long)(~0UL >> 1))

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

static __inline__ unsigned long long jiffies_to_nsecs(unsigned long j)
{
	return (unsigned long long)j * (1000000000ULL / HZ);
}

static __inline__ unsigned long nsecs_to_jiffies(unsigned long long ns)
{
	return (unsigned long)(ns / (1000000000ULL / HZ));
}
#define nsecs_to_jiffies64(ns) ((unsigned long long)nsecs_to_jiffies(ns))
#define jiffies64_to_nsecs(j) jiffies_to_nsecs(j)
#define jiffies64_to_msecs(j) ((unsigned long long)(j)*1000ULL / HZ)

/* A constant expression of a constant. */
#define secs_to_jiffies(s) ((unsigned long)(s)*HZ)

static __inline__ unsigned int jiffies_delta_to_msecs(long delta)
{
	return jiffies_to_msecs(delta < 0 ? 0UL : (unsigned long)delta);
}

/* A clock_t counts hundredths of a second, as times() gives them. */
static __inline__ long jiffies_to_clock_t(unsigned long j)
{
	return (long)(j * 100UL / HZ);
}
#define jiffies_delta_to_clock_t(delta) jiffies_to_clock_t((delta) < 0 ? 0UL : (unsigned long)(delta))
#define jiffies_64_to_clock_t(j) ((unsigned long long)jiffies_to_clock_t(j))

static __inline__ unsigned long clock_t_to_jiffies(unsigned long ticks)
{
	return ticks * HZ / 100UL;
}

/* j at a full second: the last one, if that is less than a quarter ago and `up`
 * is 0, or else the next. But j itself where that would not be in the future. */
static __inline__ unsigned long deadwalk_round_jiffies(unsigned long j, int up)
{
	unsigned long past = j % HZ, rounded = j - past;

	if (up || past >= HZ / 4)
		rounded += HZ;
	return time_is_after_jiffies(rounded) ? rounded : j;
}

/* The kernel skews the second by three jiffies a processor; here it does not. */
#define round_jiffies(j) deadwalk_round_jiffies(j, 0)
#define round_jiffies_up(j) deadwalk_round_jiffies(j, 1)
#define __round_jiffies(j, cpu) ((void)(cpu), round_jiffies(j))
#define __round_jiffies_up(j, cpu) ((void)(cpu), round_jiffies_up(j))

/* The same for a time from now on. */
static __inline__ unsigned long deadwalk_round_relative(unsigned long delta, int up)
{
	unsigned long now = jiffies;

	return deadwalk_round_jiffies(now + delta, up) - now;
}

#define round_jiffies_relative(delta) deadwalk_round_relative(delta, 0)
#define round_jiffies_up_relative(delta) deadwalk_round_relative(delta, 1)
#define __round_jiffies_relative(delta, cpu) ((void)(cpu), round_jiffies_relative(delta))
#define __round_jiffies_up_relative(delta, cpu) ((void)(cpu), round_jiffies_up_relative(delta))

#endif
