/*
 * What the scenarios of timer_list share. Each program takes a race of kernel
 * timers in the order that does harm, in every run: gates direct it, never time.
 *
 *     PROG [--policy async|sync|running] [ARGUMENTS]
 *
 * It prints what it saw itself (flags, return values), then what deadwalk
 * counted, and exits with 0 if it saw what is expected under that policy, with 1
 * if not, with 2 for bad arguments.
 *
 * The gates: the handler opens ENTERED, then passes GO. Under `async` main opens
 * GO after its delete. Under the other policies the delete waits for the
 * handler, so a helper opens GO once the delete is seen to wait. Main never
 * waits for a gate that the handler opens after the delete: that is what correct
 * code does, and deadwalk would take it for that.
 */
#ifndef SCENARIO_H
#define SCENARIO_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <deadwalk/deadwalk.h>
#include <deadwalk/slab.h>
#include <deadwalk/spinlock.h>
#include <deadwalk/timer.h>

/* No scenario lasts so long, in jiffies. */
#define NEVER (3600UL * HZ)

enum { MAX_ARGUMENTS = 2, HELPER_DELAY_MS = 20 };

static struct {
	const char *name;
	const char *usage;
	const char *policy;
	int deletes_wait; /* whether del_timer() waits for a running handler */
	int as_expected;
	int argument_count;
	const char *arguments[MAX_ARGUMENTS];
} scenario;

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: %s [--policy async|sync|running] %s\n", scenario.name,
		scenario.usage);
	exit(2);
}

/* Call it before the first timer. Without --policy it is the option `del`. */
static inline void scenario_start(int argc, char **argv, const char *usage_text)
{
	const char *slash = strrchr(argv[0], '/');

	scenario.name = slash ? slash + 1 : argv[0];
	scenario.usage = usage_text;
	scenario.as_expected = 1;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--policy")) {
			if (++i == argc || deadwalk_set_policy(argv[i]))
				usage();
		} else if (argv[i][0] == '-' || scenario.argument_count == MAX_ARGUMENTS) {
			usage();
		} else {
			scenario.arguments[scenario.argument_count++] = argv[i];
		}
	}
	scenario.policy = deadwalk_policy();
	if (!scenario.policy) {
		fprintf(stderr, "%s: deadwalk is not loaded\n", scenario.name);
		exit(2);
	}
	scenario.deletes_wait = strcmp(scenario.policy, "async") != 0;
}

/* The next argument, or NULL. */
static inline const char *next_argument(void)
{
	static int next;

	return next < scenario.argument_count ? scenario.arguments[next++] : NULL;
}

static inline void no_more_arguments(void)
{
	if (next_argument())
		usage();
}

/* The next argument as a number of rounds. */
static inline int rounds_argument(int fallback)
{
	const char *text = next_argument();
	char *end;
	long rounds;

	if (!text)
		return fallback;
	rounds = strtol(text, &end, 10);
	if (*end || rounds < 1 || rounds > 1000000)
		usage();
	return (int)rounds;
}

/* One line of what the program saw, and whether that was to be expected. */
static inline void __attribute__((format(printf, 2, 3))) saw(int expected, const char *format, ...)
{
	va_list arguments;

	printf("program:  ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("%s\n", expected ? "" : " (NOT EXPECTED)");
	scenario.as_expected &= !!expected;
}

/* The last lines, and the exit status. */
static inline int scenario_end(void)
{
	static const char *const counters[] = {
		"del.calls", "del.while_running", "del.sync_waits", "del.re_deletes",
	};

	printf("deadwalk:");
	for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++)
		printf("%s %s %llu", i ? "," : "", counters[i], deadwalk_counter(counters[i]));
	printf("\nverdict:  %s under %s\n",
	       scenario.as_expected ? "as expected" : "NOT as expected", scenario.policy);
	return scenario.as_expected ? 0 : 1;
}

static inline void nap_ms(long ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
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

static sem_t entered_gate, go_gate;

static inline void __attribute__((constructor)) gates_init(void)
{
	gate_init(&entered_gate);
	gate_init(&go_gate);
}

/*
 * The handler's side: stays until GO, and goes on for so long that nobody takes
 * what was done before for something in its last instructions.
 */
static inline void stay_until_go(void)
{
	gate_pass(&go_gate);
	nap_ms(1);
}

/* It has begun, and stays. */
static inline void enter_and_wait(void)
{
	gate_open(&entered_gate);
	stay_until_go();
}

/* Waits for a flag of the handler's without deadwalk taking it for the end of its run. */
static inline void spin_until(atomic_int *flag, int value)
{
	while (atomic_load(flag) < value)
		sched_yield();
}

static struct {
	pthread_t thread;
	unsigned long long waits;
	void (*meanwhile)(void); /* done while the delete waits */
	int delay_ms;
} helper = { .delay_ms = HELPER_DELAY_MS };

static inline void *helper_opens_go(void *unused)
{
	(void)unused;
	/* A delete that never waits is not waited for: the program will say so. */
	for (int ms = 0; ms < 1000 && deadwalk_counter("del.sync_waits") < helper.waits; ms++)
		nap_ms(1);
	if (helper.meanwhile)
		helper.meanwhile();
	nap_ms(helper.delay_ms);
	gate_open(&go_gate);
	return NULL;
}

/* Has GO opened when so many more deletes wait for a handler. */
static inline void helper_start(int deletes)
{
	helper.waits = deadwalk_counter("del.sync_waits") + (unsigned)deletes;
	if (pthread_create(&helper.thread, NULL, helper_opens_go, NULL))
		die("pthread_create");
}

static inline void helper_join(void)
{
	pthread_join(helper.thread, NULL);
}

/* Stands before a delete of a handler that waits at GO ... */
static inline void before_delete(void)
{
	if (scenario.deletes_wait)
		helper_start(1);
}

/* ... and after it, and after all that is done too early. */
static inline void after_delete(void)
{
	if (scenario.deletes_wait)
		helper_join();
	else
		gate_open(&go_gate);
}

static atomic_int fences_passed;

static inline void fence_handler(unsigned long unused)
{
	(void)unused;
	atomic_fetch_add(&fences_passed, 1);
}

/*
 * Waits until the handlers that ran when it was called have returned. They all
 * run on one thread, so a timer that is armed now fires behind them. It is no
 * sync_timers(), which would make correct code of many a scenario.
 */
static inline void handlers_return(void)
{
	struct timer_list *fence = kmalloc(sizeof *fence, GFP_KERNEL);
	int passed = atomic_load(&fences_passed);

	setup_timer(fence, fence_handler, 0);
	mod_timer(fence, jiffies + 1);
	spin_until(&fences_passed, passed + 1);
	/* The fence's own handler may be at its last instruction: it is never freed. */
}
#endif
