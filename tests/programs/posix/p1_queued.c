/*
 * P1 and P16, queued but not started: the timer has expired and its thread
 * exists, but has not run yet; then delete and free. The handler starts late.
 *
 * Directed by priority: one CPU, held by this thread with a real-time priority;
 * libc's helper, above it, makes the handler's thread, which is an ordinary one
 * and has to wait. Takes root; otherwise SKIPPED.
 *
 * BAD: delete and free while it is queued. FIXED: delete and free before
 * anything expired. LOOKALIKE: the queued run is let run to its end first.
 * Prints how often the handler ran.
 */
#include "../gates.h"

#include <sys/resource.h>

enum { ROOM = 64, SPIN_S = 5, US_PER_S = 1000000 };

static atomic_int runs;

static void handler(union sigval value)
{
	(void)value;
	atomic_fetch_add(&runs, 1);
}

static void warm_up_handler(union sigval value)
{
	*(pid_t *)value.sival_ptr = thread_id();
	atomic_fetch_add(&runs, 1);
}

/* One ordinary timer first, so every helper thread there will be is there. */
static void warm_up(void)
{
	static _Atomic pid_t tid;
	timer_t timer = new_timer(warm_up_handler, (void *)&tid);

	arm(timer, 0);
	while (!tid)
		sched_yield();
	wait_thread_gone(tid);
	timer_delete(timer);
	atomic_store(&runs, 0);
}

#ifndef FIXED
enum { ORDINARY = 0, OURS = 10, HELPERS = 20 };

static void set_priority(pid_t tid, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	if (sched_setscheduler(tid, priority ? SCHED_FIFO : SCHED_OTHER, &param))
		exit(SKIPPED);
}

/* Runnable with an ordinary priority, while we hold its only CPU: queued. */
static int is_queued(pid_t tid)
{
	char path[64], line[256] = "", *name_end;
	FILE *stat;

	if (sched_getscheduler(tid) != SCHED_OTHER)
		return 0;
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	if (!(stat = fopen(path, "r")))
		return 0;
	if (!fgets(line, sizeof line, stat))
		line[0] = 0;
	fclose(stat);
	name_end = strrchr(line, ')');
	return name_end && name_end[2] == 'R';
}

/* Every thread there is goes to one CPU, the others above us. */
static int one_cpu(pid_t *threads)
{
	cpu_set_t one;
	int cpu = 0, count = thread_list(threads, ROOM);

	if (sched_getaffinity(0, sizeof one, &one))
		exit(SKIPPED);
	while (!CPU_ISSET(cpu, &one))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	for (int i = 0; i < count; i++) {
		if (sched_setaffinity(threads[i], sizeof one, &one))
			exit(SKIPPED);
		set_priority(threads[i], threads[i] == getpid() ? OURS : HELPERS);
	}
	return count;
}

/* A thread that was not there before and is queued, or 0. */
static pid_t queued_thread(const pid_t *before, int known)
{
	pid_t now[ROOM], tid;
	int count = thread_list(now, ROOM);

	for (int i = 0; i < count; i++) {
		tid = thread_added(before, known, &now[i], 1);
		if (tid && is_queued(tid))
			return tid;
	}
	return 0;
}

/*
 * Arms the timer and waits until its handler's thread is queued. The kernel takes the
 * CPU away from real-time threads that have had it for long, whosever they are: what
 * ran then was not queued, and the timer is armed again.
 */
static pid_t arm_until_queued(timer_t timer)
{
	struct rlimit limit = { SPIN_S * US_PER_S, SPIN_S * US_PER_S };
	pid_t before[ROOM], tid;
	int known;

	/* Nobody else has this CPU meanwhile: not for ever. */
	if (setrlimit(RLIMIT_RTTIME, &limit))
		die("setrlimit");
	known = one_cpu(before);
	for (;;) {
		atomic_store(&runs, 0);
		arm(timer, 0);
		while (!atomic_load(&runs))
			if ((tid = queued_thread(before, known)))
				return tid;
	}
}

static void let_run(pid_t tid)
{
	set_priority(0, ORDINARY);
	wait_thread_gone(tid);
}
#endif

int main(void)
{
	struct sched_param ordinary = { 0 };
	pthread_attr_t attr;
	timer_t timer;
	int *data = malloc(64);

	warm_up();
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
	pthread_attr_setschedparam(&attr, &ordinary);
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD,
		.sigev_notify_function = handler,
		.sigev_notify_attributes = &attr,
		.sigev_value.sival_ptr = data,
	};
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		die("timer_create");
#if defined FIXED
	arm(timer, HOUR_MS);
	timer_delete(timer);
	free(data);
#else
	pid_t tid = arm_until_queued(timer);
#ifdef LOOKALIKE
	let_run(tid);
	timer_delete(timer);
	free(data);
#else
	timer_delete(timer);
	free(data);
	let_run(tid);
#endif
#endif
	printf("handler runs: %d\n", atomic_load(&runs));
	return 0;
}
