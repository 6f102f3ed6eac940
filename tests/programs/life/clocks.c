/*
 * Every clock, relative and absolute times, past and to come, and what is refused.
 * clocks KIND
 */
#include "life.h"

static const struct {
	const char *name;
	clockid_t clock;
} clocks[] = {
	{ "realtime", CLOCK_REALTIME },
	{ "monotonic", CLOCK_MONOTONIC },
	{ "boottime", CLOCK_BOOTTIME },
	{ "process", CLOCK_PROCESS_CPUTIME_ID },
	{ "thread", CLOCK_THREAD_CPUTIME_ID },
	{ "tai", CLOCK_TAI },
	{ "raw", CLOCK_MONOTONIC_RAW },
	{ "coarse", CLOCK_REALTIME_COARSE },
	{ "none", 77 },
};

/* Uses time, for clocks that measure its use, until a handler has told of itself. */
static void spend(struct timer *timer)
{
	volatile unsigned turns = 0;

	if (kind != TIMERFD)
		while (counts->handled < counts->armed)
			turns++;
	await(timer);
}

static struct timespec later(clockid_t clock, long ms)
{
	struct timespec now;

	clock_gettime(clock, &now);
	now.tv_sec += ms / 1000 + (now.tv_nsec + ms % 1000 * NS_PER_MS) / 1000000000;
	now.tv_nsec = (now.tv_nsec + ms % 1000 * NS_PER_MS) % 1000000000;
	return now;
}

static void use(const char *name, clockid_t clock)
{
	struct timespec never = ms_of(0), first = ms_of(3), odd = { 0, 1000000000 };
	struct timer timer;
	int error = try_make(&timer, clock, NULL);

	printf("%s: make %d", name, error);
	if (!error) {
		printf(", relative %d", set(&timer, 0, first, never));
		spend(&timer);
		printf(", absolute %d", set(&timer, TIMER_ABSTIME, later(clock, 2), never));
		spend(&timer);
		printf(", past %d", set(&timer, TIMER_ABSTIME, (struct timespec){ 0, 1 }, never));
		spend(&timer);
		printf(", odd %d", set(&timer, 0, odd, never));
		unmake(&timer);
	}
	printf("\n");
}

/* setitimer has a number for its clock. */
static void use_itimer(const char *name, int which)
{
	struct timer timer = { .which = which };

	arm_in(&timer, 3);
	spend(&timer);
	disarm(&timer);
	printf("%s: well\n", name);
}

int main(int argc, char **argv)
{
	life_begin(argc, argv);
	if (kind == ITIMER) {
		use_itimer("real", ITIMER_REAL);
		use_itimer("virtual", ITIMER_VIRTUAL);
		use_itimer("prof", ITIMER_PROF);
		return life_end();
	}
	for (size_t at = 0; at < sizeof clocks / sizeof *clocks; at++)
		use(clocks[at].name, clocks[at].clock);
	return life_end();
}
