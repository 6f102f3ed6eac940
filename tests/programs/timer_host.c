/*
 * What a host may do with timer_list timers around: each variant must run to its
 * end, with status 0, and without a finding of warning or error.
 */
#include <deadwalk/deadwalk.h>
#include <deadwalk/timer.h>

#include <sys/time.h>
#include <sys/wait.h>

#include "gates.h"

static struct timer_list timer __attribute__((unused)), other __attribute__((unused));
static sem_t ran;
static atomic_int count;

static inline void tick(unsigned long data)
{
	atomic_fetch_add(&count, (int)data);
	gate_open(&ran);
}

static inline void start(struct timer_list *t, void (*handler)(unsigned long), unsigned long data)
{
	setup_timer(t, handler, data);
	mod_timer(t, jiffies + 1);
}

static inline int child_status(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("fork");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

#if defined(PTHREAD_EXIT)
/* A handler that ends its thread ends no timers: the next one still runs. */
static void leaves(unsigned long data)
{
	tick(data);
	pthread_exit(NULL);
}

int main(void)
{
	gate_init(&ran);
	for (int round = 0; round < 20; round++) {
		start(&timer, leaves, 1);
		gate_pass(&ran);
		del_timer_sync(&timer);
		start(&other, tick, 1);
		gate_pass(&ran);
		del_timer_sync(&other);
	}
	return count == 40 ? 0 : 1;
}
#elif defined(FORK)
/* The parent's timers are not the child's; the child has its own. */
int main(void)
{
	gate_init(&ran);
	setup_timer(&timer, tick, 1);
	mod_timer(&timer, jiffies + 1000 * HZ);
	for (int round = 0; round < 20; round++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (deadwalk_counter("timers.pending_at_end") != 0)
				_exit(2);
			start(&other, tick, 1);
			gate_pass(&ran);
			del_timer_sync(&other);
			exit(count == 1 ? 0 : 3);
		}
		if (child_status(pid))
			return 1;
	}
	return del_timer_sync(&timer) == 1 ? 0 : 1;
}
#elif defined(FORK_IN_HANDLER)
static atomic_int status = -1;

static void forks(unsigned long data)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	atomic_store(&status, child_status(pid));
	tick(data);
}

int main(void)
{
	gate_init(&ran);
	start(&timer, forks, 1);
	gate_pass(&ran);
	del_timer_sync(&timer);
	return status == 7 ? 0 : 1;
}
#elif defined(EXIT_IN_HANDLER)
static void ends(unsigned long data)
{
	exit((int)data);
}

int main(void)
{
	start(&timer, ends, 0);
	for (;;)
		pause();
}
#elif defined(SIGNALS)
/* Timer calls in a signal handler that interrupts timer calls: none is waited for. */
static void on_signal(int number)
{
	(void)number;
	mod_timer(&other, jiffies + 10);
	del_timer(&other);
}

static void nothing(unsigned long data)
{
	(void)data;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct itimerval often = { { 0, 100 }, { 0, 100 } };

	setup_timer(&timer, nothing, 0);
	setup_timer(&other, nothing, 0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 300000; i++) {
		mod_timer(&timer, jiffies + 100);
		del_timer(&timer);
	}
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	del_timer_sync(&timer);
	del_timer_sync(&other);
	return 0;
}
#elif defined(VIRTUAL)
/* Virtual time: handlers run here, in the order of their ticks, and no sooner. */
static unsigned long last;

static void ordered(unsigned long n)
{
	if (n != last + 1)
		exit(4);
	last = n;
}

int main(void)
{
	static struct timer_list timers[100];
	unsigned long from;

	deadwalk_timer_advance(0);
	from = jiffies;
	for (unsigned long n = 100; n > 0; n--) {
		setup_timer(&timers[n - 1], ordered, n);
		mod_timer(&timers[n - 1], from + 3 * n);
	}
	if (deadwalk_timer_advance(2) != 0 || last != 0)
		return 1;
	if (deadwalk_timer_advance(298) != 100 || last != 100)
		return 2;
	return jiffies == from + 300 ? 0 : 3;
}
#elif defined(WIPES_ITSELF)
/*
 * A handler assigns its own timer anew, in every way there is: who deletes the
 * timer waits for that handler all the same.
 */
static sem_t entered;
static atomic_int running, way;

static void wipes(unsigned long data)
{
	static const struct timer_list fresh = INIT_TIMER_FN(wipes);
	static const struct timespec ms = { .tv_nsec = 1000000 };

	(void)data;
	running = 1;
	if (way == 0)
		memset(&timer, 0, sizeof timer);
	else if (way == 1)
		timer = fresh;
	else
		init_timer(&timer);
	gate_open(&entered);
	for (int i = 0; i < 3; i++)
		nanosleep(&ms, NULL);
	running = 0;
}

int main(void)
{
	gate_init(&entered);
	for (way = 0; way < 3; way++) {
		for (int round = 0; round < 5; round++) {
			start(&timer, wipes, 0);
			gate_pass(&entered);
			if (try_to_del_timer_sync(&timer) != -1 && running)
				return 1;
			if (timer_pending(&timer))
				return 2;
			del_timer_sync(&timer);
			/* Under `running` a wiped flag is what it is: that design's own limit. */
			if (running && (way == 2 || strcmp(deadwalk_policy(), "running")))
				return 3;
			while (running)
				sched_yield();
		}
	}
	return 0;
}
#elif defined(ASSIGNED_ANEW)
/* A shut-down timer that is assigned from an initialiser is a new one. */
int main(void)
{
	static const struct timer_list fresh = INIT_TIMER_FND(tick, 1);

	gate_init(&ran);
	for (int round = 0; round < 5; round++) {
		timer = fresh;
		mod_timer(&timer, jiffies + 1);
		gate_pass(&ran);
		timer_shutdown_sync(&timer);
	}
	mod_timer(&timer, jiffies + 1);
	return timer_pending(&timer) == 0 && count == 5 ? 0 : 1;
}
#elif defined(INHERITED)
/* A fork child deletes, arms and asks for what its parent had armed. */
int main(void)
{
	gate_init(&ran);
	for (int order = 0; order < 3; order++) {
		pid_t pid;

		setup_timer(&timer, tick, 1);
		mod_timer(&timer, jiffies + 1000 * HZ);
		pid = fork();
		if (pid == 0) {
			if (order == 0 && (timer_pending(&timer) || del_timer_sync(&timer)))
				_exit(2);
			if (order == 1 && (del_timer(&timer) || timer_pending(&timer)))
				_exit(3);
			mod_timer(&timer, jiffies + 1);
			gate_pass(&ran);
			exit(del_timer_sync(&timer) ? 4 : 0);
		}
		if (child_status(pid) || del_timer_sync(&timer) != 1)
			return 1;
	}
	return 0;
}
#elif defined(SYNC_IN_VIRTUAL_TIME)
/* Somebody who waits for handlers delays no timer. */
static atomic_int done;

static void periodic(unsigned long data)
{
	(void)data;
	count++;
	mod_timer(&timer, jiffies + 1);
}

static void *waits(void *unused)
{
	(void)unused;
	while (!done)
		sync_timers();
	return NULL;
}

int main(void)
{
	pthread_t thread;

	deadwalk_timer_advance(0);
	start(&timer, periodic, 0);
	if (pthread_create(&thread, NULL, waits, NULL))
		die("pthread_create");
	deadwalk_timer_advance(1000);
	done = 1;
	pthread_join(thread, NULL);
	del_timer_sync(&timer);
	return count == 1000 ? 0 : 1;
}
#elif defined(MAIN_ENDS)
/* Main ends; the process ends after the last armed timer, and not before. */
static void last_act(unsigned long data)
{
	_exit((int)data);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		start(&timer, last_act, 0);
	pthread_exit(NULL);
}
#endif
