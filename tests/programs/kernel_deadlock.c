/*
 * A waiting delete of a timer whose handler waits for a lock of the deleter's, the one
 * named by the argument: the delete is seen to wait for ever, however far its limits
 * are. In the last two ways the lock is not the deleter's alone, or another's, and the
 * delete ends.
 */
#include "gates.h"
#include <linux/interrupt.h>
#include <linux/smp_lock.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static DEFINE_RWLOCK(lock);
static sem_t entered, read_by_other, go, done;
static unsigned long flags;

static void section_take(void)
{
	save_flags(flags);
	cli();
	cli();
}

static void section_give(void)
{
	restore_flags(flags);
}

static void big_take(void)
{
	lock_kernel();
	lock_kernel();
}

static void big_give(void)
{
	unlock_kernel();
	unlock_kernel();
}

static void reading_take(void)
{
	read_lock(&lock);
}

static void reading_give(void)
{
	read_unlock(&lock);
}

static void writing_take(void)
{
	write_lock(&lock);
}

static void writing_give(void)
{
	write_unlock(&lock);
}

static void nothing(void)
{
}

static const struct way {
	const char *name;
	void (*take)(void), (*give)(void);
	void (*handler_takes)(void), (*handler_gives)(void);
	int others;
} ways[] = {
	{ "section", section_take, section_give, section_take, section_give, 0 },
	{ "big", big_take, big_give, big_take, big_give, 0 },
	{ "writing", writing_take, writing_give, reading_take, reading_give, 0 },
	{ "reading", reading_take, reading_give, writing_take, writing_give, 0 },
	/* Others read before and after: one of the holders is the deleter. */
	{ "shared", reading_take, reading_give, writing_take, writing_give, 2 },
	{ "beside", reading_take, reading_give, reading_take, reading_give, 2 },
	{ "theirs", nothing, nothing, writing_take, writing_give, 1 },
};
static const struct way *way;

static void handler(unsigned long unused)
{
	(void)unused;
	gate_open(&entered);
	way->handler_takes();
	way->handler_gives();
	gate_open(&done);
}

static void *other_reader(void *unused)
{
	struct timespec nap = { 0, 30 * NS_PER_MS };

	reading_take();
	gate_open(&read_by_other);
	gate_pass(&go);
	/* Most deletes of "theirs" wait by then. */
	nanosleep(&nap, NULL);
	reading_give();
	return unused;
}

static pthread_t start_other(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, other_reader, NULL))
		die("pthread_create");
	gate_pass(&read_by_other);
	return thread;
}

int main(int argc, char **argv)
{
	static struct timer_list timer;
	pthread_t others[2];
	int deleted, i;

	for (i = 0; i < (int)(sizeof(ways) / sizeof(*ways)); i++)
		if (argc == 2 && !strcmp(argv[1], ways[i].name))
			way = &ways[i];
	if (!way)
		return 2;
	gate_init(&entered);
	gate_init(&read_by_other);
	gate_init(&go);
	gate_init(&done);
	setup_timer(&timer, handler, 0);
	if (way->others)
		others[0] = start_other();
	way->take();
	if (way->others > 1)
		others[1] = start_other();
	mod_timer(&timer, jiffies + 1);
	gate_pass(&entered);
	if (way->others == 1)
		gate_open(&go);
	deleted = del_timer_sync(&timer);
	way->give();
	for (i = 0; way->others > 1 && i < way->others; i++)
		gate_open(&go);
	for (i = 0; i < way->others; i++)
		pthread_join(others[i], NULL);
	gate_pass(&done);
	printf("deleted %d\n", deleted);
	return 0;
}
