/*
 * P16: an expiry of the disarmed timer is delivered after the disarm: the signal
 * was blocked as the timer expired, and stays pending.
 * FIXED: what is pending is taken before the signal is unblocked. LOOKALIKE:
 * nothing had expired.
 */
#include "timers.h"

static atomic_int runs;

static HANDLER(handler)
{
	atomic_fetch_add(&runs, 1);
}

int main(void)
{
	sigset_t set, pending;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	set_handler(SIGALRM, handler, SA_RESTART);
#ifdef LOOKALIKE
	start(NULL, HOUR_MS);
#else
	start(NULL, 1);
	do
		sigpending(&pending);
	while (!sigismember(&pending, SIGALRM));
#endif
	stop(NULL);
#ifdef FIXED
	struct timespec at_once = { 0 };

	sigtimedwait(&set, NULL, &at_once);
#endif
	(void)pending;
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	printf("handler runs: %d\n", atomic_load(&runs));
	return 0;
}
