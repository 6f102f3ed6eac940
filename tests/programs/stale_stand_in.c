/*
 * A timer family in which every timer has the same handle and expires when the
 * program says so: a library for LD_PRELOAD, behind deadwalk's. It knows the
 * handler and value that libc would be given.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

static struct sigevent last;

static void *fire(void *unused)
{
	(void)unused;
	last.sigev_notify_function(last.sigev_value);
	return NULL;
}

/* An expiry of the timer created last arrives, on a thread of its own. */
pthread_t stand_in_expire(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, fire, NULL);
	return thread;
}

/* 1: one arrives before timer_create has returned. */
int stand_in_is_hasty;

int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
	(void)clock;
	last = *event;
	if (stand_in_is_hasty)
		pthread_join(stand_in_expire(), NULL);
	*timer = (timer_t)-42L;
	return 0;
}

int timer_settime(timer_t timer, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	(void)timer;
	(void)flags;
	(void)new;
	(void)old;
	return 0;
}

int timer_delete(timer_t timer)
{
	(void)timer;
	return 0;
}

int timer_gettime(timer_t timer, struct itimerspec *value)
{
	(void)timer;
	memset(value, 0, sizeof *value);
	return 0;
}

int timer_getoverrun(timer_t timer)
{
	(void)timer;
	return 0;
}
