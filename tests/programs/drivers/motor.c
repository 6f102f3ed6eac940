/*
 * A disk drive's motor, as drivers of 2.2 had it: timers that are static, one with a
 * positional initialiser and one with a GNU one, and sections without interrupts. The
 * last close deletes the timers and frees what the motor's handler was given.
 */
#include "bench.h"
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/malloc.h>
#include <linux/sched.h>
#include <linux/timer.h>
#include <asm/io.h>
#include <asm/system.h>

#ifdef FIXED
#define stop_timer(timer) del_timer_sync(timer)
#else
#define stop_timer(timer) del_timer(timer)
#endif

#define MOTOR_PORT 0x3f2
#define WATCHDOG_TIMEOUT (20 * HZ)

struct drive {
	unsigned char motor_bit;
	int spinning;
};

static void motor_off(unsigned long data);
static void watchdog_bites(unsigned long unused);

static struct timer_list motor_timer = { function: motor_off };
static struct timer_list watchdog = { NULL, NULL, 0, 0, watchdog_bites };

static struct drive *the_drive;
static volatile unsigned char motors;
static int open_count, resets;

static void set_motors(unsigned char bits, int on)
{
	unsigned long flags;

	save_flags(flags);
	cli();
	motors = on ? motors | bits : motors & ~bits;
	restore_flags(flags);
}

static void motor_off(unsigned long data)
{
	struct drive *drive = (struct drive *)data;

	outb(motors, MOTOR_PORT);
	set_motors(drive->motor_bit, 0);
}

static void watchdog_bites(unsigned long unused)
{
	(void)unused;
	cli();
	resets++;
	sti();
}

static int drive_open(void)
{
	if (!the_drive) {
		the_drive = kmalloc(sizeof(*the_drive), GFP_KERNEL);
		if (!the_drive)
			return -ENOMEM;
		the_drive->motor_bit = 0x10;
		the_drive->spinning = 1;
	}
	open_count++;
	set_motors(the_drive->motor_bit, 1);
	watchdog.expires = jiffies + WATCHDOG_TIMEOUT;
	add_timer(&watchdog);
	return 0;
}

/* The motor goes on for a while. */
static void drive_idle(void)
{
	unsigned long flags;

	save_flags(flags);
	cli();
	del_timer(&motor_timer);
	motor_timer.expires = jiffies + 1;
	motor_timer.data = (unsigned long)the_drive;
	add_timer(&motor_timer);
	restore_flags(flags);
}

static void drive_release(void)
{
	unsigned long flags;
	int is_last;

	save_flags(flags);
	cli();
	is_last = --open_count == 0;
	restore_flags(flags);
	if (!is_last)
		return;
	stop_timer(&watchdog);
	stop_timer(&motor_timer);
	kfree(the_drive);
	the_drive = NULL;
}

void device_out(unsigned char value, unsigned long port)
{
	(void)value;
	(void)port;
	bench_device_out();
}

int main(int argc, char **argv)
{
#ifdef FIXED
	bench_start(argc, argv, 1);
#else
	bench_start(argc, argv, 0);
#endif
	saw(drive_open() == 0, "opened");
	drive_idle();
	bench_wait_for_handler();
	drive_release();
	saw(!the_drive && !resets, "released");
	return bench_end();
}
