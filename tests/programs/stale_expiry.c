/*
 * glibc BZ 32833: an expiry of a deleted timer runs the handler of another one,
 * which got its handle: stale_expiry loop ROUNDS | MODE
 * loop: with libc's own timers, as often as it happens (LIFO_HEAP: a freed block is
 * handed out again at once, whoever's heap serves else). Any other mode needs the
 * stand-in for them (stale_stand_in.c), and happens once:
 * never: to a timer that was never armed. early: to one that is due in an hour.
 * hasty: to one whose timer_create has not returned. harmed: main deletes the
 * timer and frees its data under the handler. harms: the handler frees its data
 * twice. due, absolute, fresh: the expiry may be the timer's own.
 * Prints "handler ran: N".
 */
#include "gates.h"
#include <dlfcn.h>
#ifdef LIFO_HEAP
#include "lifo_heap.h"
#endif

static atomic_int runs;
static sem_t entered, go_on;
static const char *mode;

static void first(union sigval value)
{
	(void)value;
}

static void second(union sigval value)
{
	atomic_fetch_add(&runs, 1);
	if (!strcmp(mode, "harmed")) {
		gate_open(&entered);
		gate_pass(&go_on);
	}
	if (!strcmp(mode, "harms")) {
		void *volatile data = value.sival_ptr;

		free(data);
		free(data);
	}
}

static int rounds(int count)
{
	for (int i = 0; i < count; i++) {
		timer_t one = new_timer(first, NULL), other;

		arm(one, 0);
		timer_delete(one);
		other = new_timer(second, NULL);
		for (int spin = 0; spin < 3; spin++)
			sched_yield();
		timer_delete(other);
	}
	/* What is on its way arrives: libc's helper thread takes one after the other. */
	usleep(200 * 1000);
	printf("handler ran: %d\n", atomic_load(&runs));
	return 0;
}

/* An arming that has come to its time when this returns. */
static void arm_and_pass(timer_t timer)
{
	struct timespec now, start;

	arm(timer, 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec == start.tv_sec && now.tv_nsec - start.tv_nsec < 10000);
}

static void arm_absolutely(timer_t timer)
{
	struct itimerspec when = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &when.it_value);
	timer_settime(timer, TIMER_ABSTIME, &when, NULL);
}

static pthread_t (*expire)(void);

int main(int argc, char **argv)
{
	void *data = malloc(64);
	timer_t timer;
	pthread_t thread;
	int *hasty;

	if (argc < 2)
		return 2;
	mode = argv[1];
	if (!strcmp(mode, "loop"))
		return rounds(atoi(argv[2]));
	gate_init(&entered);
	gate_init(&go_on);
	*(void **)&expire = dlsym(RTLD_DEFAULT, "stand_in_expire");
	hasty = dlsym(RTLD_DEFAULT, "stand_in_is_hasty");
	if (!expire || !hasty)
		return 3;
	if (strcmp(mode, "fresh")) {
		timer = new_timer(first, NULL);
		arm(timer, 0);
		timer_delete(timer);
	}
	*hasty = !strcmp(mode, "hasty");
	timer = new_timer(second, data);
	if (!strcmp(mode, "early") || !strcmp(mode, "harms"))
		arm(timer, HOUR_MS);
	if (!strcmp(mode, "due"))
		arm_and_pass(timer);
	if (!strcmp(mode, "absolute"))
		arm_absolutely(timer);
	if (*hasty)
		goto end;
	thread = expire();
	if (!strcmp(mode, "harmed")) {
		gate_pass(&entered);
		timer_delete(timer);
		free(data);
		gate_open(&go_on);
	}
	pthread_join(thread, NULL);
end:
	printf("handler ran: %d\n", atomic_load(&runs));
	return 0;
}
