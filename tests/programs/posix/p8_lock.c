/*
 * P8: waiting for the handler while holding the lock that it wants.
 * BAD 1: by timer_delete, which waits under del=sync. BAD 2: on the handler's
 * "done". BAD 3: by pthread_join of the thread that takes the signal. BAD 4: by a loop
 * on a flag. BAD 5: by a condition variable with a mutex of its own. All but the first
 * deadlock for good; their own SIGKILL ends them.
 * FIXED 1, 2, 3 and 5: the lock is dropped first. (A loop stays a landing, for it is no
 * call.)
 * LOOKALIKE 1: the lock is wanted by another timer's handler. 2: the handler only tries
 * the lock. In the others the handler is blocked and the deleter holds the lock for a
 * while: 3: until a third thread posts. 4: for a time limit. 5: as long as it is busy.
 * 6: for good, but the handler has a time limit.
 * With -DKIND=PTHREAD_MUTEX_RECURSIVE or another one, -DROBUST, -DINHERIT: such a lock.
 * With -DMAY_WAKE=1 a thread waits for what comes from outside, with -DMAY_WAKE=2 a
 * signal has a handler: somebody may yet post.
 */
#include "timers.h"

#include <poll.h>

/* How long the deadlock is left alone; how long a handler works that has none; how long
 * the lock is held that is dropped in the end. */
enum { PATIENCE_MS = 1500, WORK_MS = 20, HOLD_MS = 400 };

#if defined BAD
#define WAIT BAD
#elif defined FIXED
#define WAIT FIXED
#elif LOOKALIKE == 6
#define WAIT 2
#else
#define WAIT 1
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t entered, go, done;
static __attribute__((unused)) int shared;
#if WAIT == 4
static atomic_int is_done;
#elif WAIT == 5
static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int is_done;
#endif

static __attribute__((unused)) struct timespec in_ms(clockid_t clock, long ms)
{
	struct timespec time;

	clock_gettime(clock, &time);
	time.tv_nsec += ms * NS_PER_MS;
	time.tv_sec += time.tv_nsec / (NS_PER_MS * MS_PER_S);
	time.tv_nsec %= NS_PER_MS * MS_PER_S;
	return time;
}

static HANDLER(handler)
{
	handler_starts();
	gate_open(&entered);
	gate_pass(&go);
#if !defined LOOKALIKE || LOOKALIKE == 3 || LOOKALIKE == 4 || LOOKALIKE == 5
	pthread_mutex_lock(&lock);
	shared++;
	pthread_mutex_unlock(&lock);
#elif LOOKALIKE == 2
	if (!pthread_mutex_trylock(&lock))
		pthread_mutex_unlock(&lock);
#elif LOOKALIKE == 6
	struct timespec limit = in_ms(CLOCK_REALTIME, HOLD_MS);

	if (!pthread_mutex_timedlock(&lock, &limit))
		pthread_mutex_unlock(&lock);
#else
	struct timespec work = { .tv_nsec = WORK_MS * NS_PER_MS };

	nanosleep(&work, NULL);
#endif
#if WAIT == 4
	atomic_store(&is_done, 1);
#elif WAIT == 5
	pthread_mutex_lock(&own);
	is_done = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&own);
#endif
	gate_open(&done);
}

#if defined LOOKALIKE && LOOKALIKE == 1
static sem_t other_entered, other_done;
static _Atomic pid_t other_thread;

static void other_handler(union sigval value)
{
	(void)value;
	other_thread = thread_id();
	gate_open(&other_entered);
	pthread_mutex_lock(&lock);
	shared++;
	pthread_mutex_unlock(&lock);
	gate_open(&other_done);
}
#endif

#if WAIT != 1 && defined BAD
/* Ends a deadlock by itself: no thread of ours could, and no lock is needed. */
static void limit_patience(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec when = {
		.it_value = { .tv_sec = PATIENCE_MS / MS_PER_S,
			      .tv_nsec = PATIENCE_MS % MS_PER_S * NS_PER_MS },
	};
	timer_t limit;

	if (timer_create(CLOCK_MONOTONIC, &event, &limit) || timer_settime(limit, 0, &when, NULL))
		die("timer_create");
}
#endif

#ifdef MAY_WAKE
static __attribute__((unused)) void *wait_outside(void *data)
{
	poll(NULL, 0, -1);
	return data;
}

static __attribute__((unused)) void on_signal(int signo)
{
	(void)signo;
}

static void let_others_wake(void)
{
#if MAY_WAKE == 1
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_outside, NULL))
		die("pthread_create");
#else
	signal(SIGTERM, on_signal);
#endif
}
#endif

/* Waits until the handler has ended. */
CALL void delete_and_wait(timer_t timer)
{
	cancel(timer);
#if WAIT == 2
	gate_pass(&done);
#elif WAIT == 3
	end_receivers();
#elif WAIT == 4
	while (!atomic_load(&is_done))
		sched_yield();
#elif WAIT == 5
	pthread_mutex_lock(&own);
	while (!is_done)
		pthread_cond_wait(&changed, &own);
	pthread_mutex_unlock(&own);
#endif
}

#if defined LOOKALIKE && LOOKALIKE == 3
static sem_t third;

static void *post_later(void *data)
{
	struct timespec hold = { .tv_nsec = HOLD_MS * NS_PER_MS };

	(void)data;
	nanosleep(&hold, NULL);
	gate_open(&third);
	return NULL;
}
#endif

#if defined LOOKALIKE && (LOOKALIKE == 3 || LOOKALIKE == 4 || LOOKALIKE == 5)
/* Holds the lock that the handler waits for, and waits for something else. */
CALL void hold(void)
{
#if LOOKALIKE == 3
	pthread_t thread;

	gate_init(&third);
	if (pthread_create(&thread, NULL, post_later, NULL))
		die("pthread_create");
	gate_pass(&third);
	pthread_join(thread, NULL);
#elif LOOKALIKE == 4
	struct timespec limit = in_ms(CLOCK_REALTIME, HOLD_MS);

	while (sem_timedwait(&done, &limit) && errno == EINTR)
		;
#else
	struct timespec now, limit = in_ms(CLOCK_MONOTONIC, HOLD_MS);

	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec < limit.tv_sec ||
	       (now.tv_sec == limit.tv_sec && now.tv_nsec < limit.tv_nsec));
#endif
}
#endif

/* The kind of the lock, if it is to be another one than the default. */
static void make_lock(void)
{
	pthread_mutexattr_t kind;

	pthread_mutexattr_init(&kind);
#ifdef KIND
	pthread_mutexattr_settype(&kind, KIND);
#endif
#ifdef ROBUST
	pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
#endif
#ifdef INHERIT
	pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT);
#endif
	if (pthread_mutex_init(&lock, &kind))
		die("pthread_mutex_init");
}

int main(void)
{
	timer_t timer = make_timer(handler, NULL);

	make_lock();
#ifdef MAY_WAKE
	let_others_wake();
#endif
	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
#if WAIT != 1 && defined BAD
	limit_patience();
#endif
#if defined LOOKALIKE && LOOKALIKE == 1
	timer_t other = new_timer(other_handler, NULL);

	gate_init(&other_entered);
	gate_init(&other_done);
	pthread_mutex_lock(&lock);
	arm(other, 0);
	gate_pass(&other_entered);
	wait_thread_asleep(other_thread);
	start(timer, 0);
	gate_pass(&entered);
	gate_open(&go);
	delete_and_wait(timer);
	pthread_mutex_unlock(&lock);
	gate_pass(&done);
	gate_pass(&other_done);
	wait_thread_gone(other_thread);
	timer_delete(other);
#else
	start(timer, 0);
	gate_pass(&entered);
	pthread_mutex_lock(&lock);
	gate_open(&go);
#if defined FIXED
	shared--;
	pthread_mutex_unlock(&lock);
	delete_and_wait(timer);
#elif defined LOOKALIKE && (LOOKALIKE == 3 || LOOKALIKE == 4 || LOOKALIKE == 5)
	wait_thread_asleep(handler_thread);
	cancel(timer);
	hold();
	pthread_mutex_unlock(&lock);
#elif defined BAD || LOOKALIKE == 6
	wait_thread_asleep(handler_thread);
	delete_and_wait(timer);
	pthread_mutex_unlock(&lock);
#else
	delete_and_wait(timer);
	pthread_mutex_unlock(&lock);
#endif
#if WAIT == 1
	gate_pass(&done);
#endif
#endif
	settle_all();
	return 0;
}
