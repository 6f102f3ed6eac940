/*
 * A library that uses the process's clock for a timeout of its own. KEEPS: it does not
 * give the clock back. GIVES_BACK: it does, with the time that is left, before it was
 * due. LATE: it does, when it was due long ago.
 */
#include "gates.h"
#include <sys/time.h>

static sem_t expired;

static void own_handler(int number)
{
	(void)number;
	gate_open(&expired);
}

void library_timeout(long ms)
{
	struct sigaction own = { .sa_handler = own_handler }, before;
	struct itimerval when = { .it_value.tv_usec = ms * 1000 }, left;

	gate_init(&expired);
	sigaction(SIGALRM, &own, &before);
	setitimer(ITIMER_REAL, &when, &left);
	gate_pass(&expired);
	sigaction(SIGALRM, &before, NULL);
#ifndef KEEPS
	if (left.it_value.tv_sec > 0)
		left.it_value.tv_sec--;
	else
		left.it_value.tv_usec = 1;
	setitimer(ITIMER_REAL, &left, NULL);
#else
	(void)left;
#endif
}
