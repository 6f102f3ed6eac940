/*
 * showit: the module of A. Morton's mail "kernel timer races" (linux-kernel,
 * 25 May 2000), with a POSIX timer in place of the kernel's. It "consists of a
 * kernel thread and a periodic timer. The kernel thread spins until the handler
 * starts, then deletes the timer and then checks to see if the handler is still
 * running. It shows that under 2.2 and 2.3 it is still running."
 *
 * So does glibc today: a SIGEV_THREAD handler runs on a thread of its own, and
 * timer_delete() does not wait for it.
 *
 *     cc -g -O1 -pthread showit_posix.c -o showit_posix && ./showit_posix [rounds]
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* How long the handler runs: a loaded machine may keep us off the CPU for as long as 5 ms. */
static const struct timespec HANDLER_TIME = { .tv_nsec = 10 * 1000 * 1000 };

static atomic_int started; /* rounds whose handler has begun */
static atomic_int running; /* the handler is between its first and last line */

static void handler(union sigval unused)
{
	(void)unused;
	atomic_store(&running, 1);
	atomic_fetch_add(&started, 1);
	nanosleep(&HANDLER_TIME, NULL);
	atomic_store(&running, 0);
}

/* One round; says whether the handler was still running after the delete. */
static int showit(int round)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = handler };
	struct itimerspec soon = { .it_value = { .tv_nsec = 1 } };
	timer_t timer;
	int still_running;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &soon, NULL)) {
		perror("showit_posix: timer");
		exit(1);
	}
	while (atomic_load(&started) <= round)
		sched_yield();

	timer_delete(timer); /* the race */
	still_running = atomic_load(&running);

	while (atomic_load(&running))
		sched_yield();
	return still_running;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 100;
	int hits = 0;

	for (int round = 0; round < rounds; round++)
		hits += showit(round);
	printf("showit_posix: handler still running after timer_delete: %d of %d\n", hits, rounds);
	return 0;
}
