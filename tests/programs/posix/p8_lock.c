/*
 * P8: waiting for the handler while holding the lock that it wants.
 * BAD 1: by timer_delete, which waits under del=sync. BAD 2: on the handler's
 * "done". BAD 3: by pthread_join of the thread that takes the signal. The last two
 * deadlock for good; their own SIGKILL ends them.
 * FIXED 1 to 3: the lock is dropped first. LOOKALIKE 1: the lock is wanted by
 * another timer's handler. 2: the handler only tries the lock.
 */
#include "timers.h"

/* How long the deadlock is left alone, and how long a handler works that has none. */
enum { PATIENCE_S = 3, WORK_MS = 20 };

#if defined BAD
#define WAIT BAD
#elif defined FIXED
#define WAIT FIXED
#else
#define WAIT 1
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t entered, go, done;
static __attribute__((unused)) int shared;

static HANDLER(handler)
{
	handler_starts();
	gate_open(&entered);
	gate_pass(&go);
#if !defined LOOKALIKE
	pthread_mutex_lock(&lock);
	shared++;
	pthread_mutex_unlock(&lock);
#elif LOOKALIKE == 2
	if (!pthread_mutex_trylock(&lock))
		pthread_mutex_unlock(&lock);
#else
	struct timespec work = { .tv_nsec = WORK_MS * NS_PER_MS };

	nanosleep(&work, NULL);
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

#if WAIT != 1
/* Ends a deadlock by itself: no thread of ours could, and no lock is needed. */
static void limit_patience(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value.tv_sec = PATIENCE_S };
	timer_t limit;

	if (timer_create(CLOCK_MONOTONIC, &event, &limit) || timer_settime(limit, 0, &when, NULL))
		die("timer_create");
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
#endif
}

int main(void)
{
	timer_t timer = make_timer(handler, NULL);

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
#if WAIT != 1
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
#elif defined BAD
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
