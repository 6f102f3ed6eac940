/*
 * A handler that is held up before it starts: provoke_held (posix|timer_list) WHAT
 *
 * end:    the process ends meanwhile, and does not wait for it.
 * delete: a delete comes meanwhile; it waits where the policy says so.
 */
#include <deadwalk/deadwalk.h>
#include <deadwalk/timer.h>

#include "gates.h"

static atomic_int has_run;

static void on_list(unsigned long unused)
{
	(void)unused;
	atomic_store(&has_run, 1);
	if (write(1, "ran\n", 4) != 4)
		die("write");
}

static void on_posix(union sigval unused)
{
	(void)unused;
	on_list(0);
}

int main(int argc, char **argv)
{
	static struct timer_list timer;
	int is_list = argc > 1 && !strcmp(argv[1], "timer_list");
	timer_t id = NULL;

	if (argc < 3)
		return 2;
	if (is_list) {
		setup_timer(&timer, on_list, 0);
		mod_timer(&timer, jiffies + 1);
	} else {
		id = new_timer(on_posix, NULL);
		arm(id, 1);
	}
	while (deadwalk_counter("timers.provoked") == 0)
		sched_yield();
	if (!strcmp(argv[2], "end"))
		return has_run;
	if (is_list)
		del_timer(&timer);
	else
		timer_delete(id);
	printf("after the delete: %d\n", atomic_load(&has_run));
	fflush(stdout);
	while (!atomic_load(&has_run))
		sched_yield();
	return 0;
}
