/*
 * SIGEV_SIGNAL and SIGEV_NONE timers pass through: values, overruns, remaining
 * time and error codes as ever.
 */
#include "gates.h"

int main(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3 };
	struct itimerspec left, never = { 0 };
	sigset_t set;
	siginfo_t info;
	timer_t timer, silent;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 3; i++) {
		event.sigev_value.sival_int = 40 + i;
		if (timer_create(CLOCK_MONOTONIC, &event, &timer))
			die("timer_create");
		arm(timer, 1);
		if (sigwaitinfo(&set, &info) != SIGRTMIN + 3)
			die("sigwaitinfo");
		printf("signal value %d code %d\n", info.si_value.sival_int, info.si_code == SI_TIMER);
		printf("overrun %d\n", timer_getoverrun(timer));
		printf("delete %d\n", timer_delete(timer));
		errno = 0;
		int again = timer_delete(timer);
		printf("again %d %s\n", again, strerror(errno));
	}
	event.sigev_notify = SIGEV_NONE;
	if (timer_create(CLOCK_REALTIME, &event, &silent))
		die("timer_create");
	arm(silent, HOUR_MS);
	timer_gettime(silent, &left);
	printf("left %d\n", left.it_value.tv_sec > 3500 && left.it_value.tv_sec <= 3600);
	timer_settime(silent, 0, &never, &left);
	printf("was armed %d\n", left.it_value.tv_sec > 3500);
	printf("delete %d\n", timer_delete(silent));
	return 0;
}
