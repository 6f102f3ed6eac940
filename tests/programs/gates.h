/*
 * What the test programs share. Races are directed by gates, never by time: a
 * gate is a semaphore that one thread opens and another passes, so each program
 * takes the same path in every run, loaded machine or not. Time only says when
 * a timer expires.
 */
#ifndef GATES_H
#define GATES_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The exit status that tells the harness "this machine can not express it". */
#define SKIPPED 77

#define NS_PER_MS 1000000L
#define HOUR_MS (3600L * 1000)

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline void gate_init(sem_t *gate)
{
	if (sem_init(gate, 0, 0))
		die("sem_init");
}

static inline void gate_open(sem_t *gate)
{
	if (sem_post(gate))
		die("sem_post");
}

static inline void gate_pass(sem_t *gate)
{
	while (sem_wait(gate))
		if (errno != EINTR)
			die("sem_wait");
}

static inline timer_t new_timer(void (*handler)(union sigval), void *data)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD,
		.sigev_notify_function = handler,
		.sigev_value.sival_ptr = data,
	};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		die("timer_create");
	return timer;
}

/* One expiry in `ms` milliseconds; 0 is "at once". */
static inline void arm(timer_t timer, long ms)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS + !ms },
	};

	if (timer_settime(timer, 0, &when, NULL))
		die("timer_settime");
}

static inline pid_t thread_id(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* Whether a thread of this process has not yet ended for good. */
static inline int thread_lives(pid_t tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) == 0;
}

static inline void wait_thread_gone(pid_t tid)
{
	while (thread_lives(tid))
		sched_yield();
}

/* Until a thread of this process is blocked, at the gate that it was on its way to. */
static inline void wait_thread_asleep(pid_t tid)
{
	char path[64], stat[256], *state;
	ssize_t len;
	int fd;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
	for (;;) {
		fd = open(path, O_RDONLY);
		len = fd < 0 ? -1 : read(fd, stat, sizeof stat - 1);
		if (len <= 0)
			die(path);
		close(fd);
		stat[len] = 0;
		state = strrchr(stat, ')');
		if (state && state[2] == 'S')
			return;
		sched_yield();
	}
}

static _Atomic pid_t handler_thread;

/* A handler's first act in the programs that wait for its thread's end. */
static inline void handler_starts(void)
{
	handler_thread = thread_id();
}

/*
 * The main thread's last act: the last handler's thread has ended, so its run is
 * judged by how it ended and not by the process having ended first.
 */
static inline void settle(void)
{
	wait_thread_gone(handler_thread);
}

/* The threads of this process; the count, at most `room` of them stored. */
static inline int thread_list(pid_t *tids, int room)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	if (!dir)
		die("/proc/self/task");
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && count < room)
			tids[count++] = atoi(entry->d_name);
	closedir(dir);
	return count;
}

/* A thread that is in `now` and not in `before`, or 0. */
static inline pid_t thread_added(const pid_t *before, int n, const pid_t *now, int m)
{
	for (int i = 0; i < m; i++) {
		int known = 0;

		for (int j = 0; j < n; j++)
			known |= now[i] == before[j];
		if (!known)
			return now[i];
	}
	return 0;
}
#endif
