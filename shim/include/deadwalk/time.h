/*
 * deadwalk: the time of day, and what a second has.
 */
#ifndef DEADWALK_TIME_H
#define DEADWALK_TIME_H

#include <sys/time.h>
#include <time.h>

#ifndef NSEC_PER_SEC
#define MSEC_PER_SEC 1000L
#define USEC_PER_MSEC 1000L
#define NSEC_PER_USEC 1000L
#define NSEC_PER_MSEC 1000000L
#define USEC_PER_SEC 1000000L
#define NSEC_PER_SEC 1000000000L
#endif

#ifndef do_gettimeofday
#define do_gettimeofday(tv) ((void)gettimeofday(tv, 0))
#endif
#ifndef get_seconds
#define get_seconds() ((unsigned long)time(0))
#endif
#ifndef ktime_get_real_seconds
#define ktime_get_real_seconds() ((long long)time(0))
#endif

#endif
