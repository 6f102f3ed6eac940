/*
 * Thousands of timers at once; of each hundred one expires. many KIND
 */
#include "life.h"
#include <sys/resource.h>

enum { TIMERS = 4000, ONE_OF = 100 };

int main(int argc, char **argv)
{
	static struct timer timers[TIMERS];
	struct rlimit most = { 2 * TIMERS, 2 * TIMERS };

	life_begin(argc, argv);
	if (setrlimit(RLIMIT_NOFILE, &most) || setrlimit(RLIMIT_SIGPENDING, &most))
		return SKIPPED;
	for (int at = 0; at < TIMERS; at++)
		timers[at] = make(NULL);
	for (int at = 0; at < TIMERS; at++)
		arm_in(&timers[at], HOUR_MS + at);
	for (int at = 0; at < TIMERS; at += ONE_OF) {
		arm_in(&timers[at], 0);
		await(&timers[at]);
	}
	for (int at = TIMERS - 1; at >= 0; at--)
		unmake(&timers[at]);
	printf("handled %d\n", counts->handled);
	return life_end();
}
