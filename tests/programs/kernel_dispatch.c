/*
 * timer_delete, by the type of its argument. Linked with nothing of ours: the
 * kernel's function is a stand-in that says it was called.
 */
#define _GNU_SOURCE
#include <deadwalk/timer.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

volatile unsigned long jiffies;
static int kernels;

void deadwalk_timer_start(void)
{
}

int deadwalk_timer_delete(struct timer_list *timer)
{
	(void)timer;
	return ++kernels;
}

static timer_t create(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer;

	return timer_create(CLOCK_MONOTONIC, &event, &timer) ? 0 : timer;
}

int main(void)
{
	struct timer_list one, several[2];
	int (*address)(timer_t) = timer_delete;
	int (*const in_table[])(timer_t) = { timer_delete };
	timer_t posix = create();

	printf("kernel %d %d\n", timer_delete(&one), timer_delete(several));
	printf("posix %d", timer_delete(posix));
	printf(" %d", (timer_delete)(create()));
	printf(" %d", address(create()));
	printf(" %d\n", in_table[0](create()));
	printf("kernel %d\n", kernels);
	return 0;
}
