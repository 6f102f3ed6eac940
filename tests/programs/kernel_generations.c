/*
 * A timer of every generation fires, first in real time, then in virtual time.
 */
#include <deadwalk/deadwalk.h>
#include <linux/timer.h>
#include <linux/kernel.h>
#include <stdio.h>

static volatile int fired, wrong;

static void old(unsigned long data)
{
	if (data != 7)
		wrong++;
	fired++;
}

struct device {
	int id;
	struct timer_list timer;
};

static void new(struct timer_list *timer)
{
	struct device *dev = from_timer(dev, timer, timer);

	if (dev->id != 8)
		wrong++;
	fired++;
}

static void alone(struct timer_list *);
static DEFINE_TIMER(defined, alone);
static struct timer_list initialised = TIMER_INITIALIZER(alone);

static void alone(struct timer_list *timer)
{
	if (timer != &defined && timer != &initialised)
		wrong++;
	fired++;
}

static struct timer_list with_data = INIT_TIMER_FND(old, 7);
static DEFINE_TIMER(of_2_6, old, 0, 7);
static struct timer_list by_hand, set_up;
static struct device dev = { .id = 8 };

static int arm(void)
{
	struct timer_list *timers[] = { &with_data, &of_2_6, &by_hand, &set_up,
					&dev.timer, &defined, &initialised };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(timers); i++) {
		timers[i]->expires = jiffies + 1 + i % 2;
		add_timer(timers[i]);
	}
	return i;
}

int main(void)
{
	unsigned long start = jiffies;
	struct timer_list local;
	int armed;

	init_timer(&by_hand);
	by_hand.function = old;
	by_hand.data = 7;
	setup_timer(&set_up, old, 7);
	timer_setup(&dev.timer, new, 0);
	armed = arm();
	while (fired < armed && time_before(jiffies, start + 60 * HZ))
		cpu_relax();
	printf("real %d of %d, wrong %d\n", fired, armed, wrong);

	fired = 0;
	deadwalk_timer_advance(0);
	start = jiffies;
	armed = arm();
	setup_timer_on_stack(&local, old, 7);
	mod_timer(&local, jiffies + 3);
	printf("ran %lu", deadwalk_timer_advance(1));
	printf(" %lu", deadwalk_timer_advance(1));
	printf(" %lu", deadwalk_timer_advance(100));
	destroy_timer_on_stack(&local);
	printf(", virtual %d of %d, wrong %d, jiffies %lu\n", fired, armed + 1, wrong,
	       jiffies - start);
	return 0;
}
