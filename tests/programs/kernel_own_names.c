/*
 * A program of user space has names of its own for what the kernel's headers
 * define, and includes the C library's headers that include the kernel's.
 */
#define _GNU_SOURCE
#include <deadwalk/deadwalk.h>
#include <deadwalk/jiffies.h>
#include <deadwalk/list_head.h>
#include <deadwalk/timer.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/types.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

typedef uint64_t u64;
typedef char u8[3];

enum { ERESTARTSYS, BUG, printk };

static int min(int a, int b)
{
	return a < b ? a : b;
}

static const char *msleep(const char *text)
{
	return index(text, 'x');
}

u64 own(struct timer_list *timer)
{
	struct sysinfo info;
	u8 three = { 0 };

	errno = sysinfo(&info) + ERESTARTSYS + BUG + printk;
	return (u64)min(errno, timer_delete(timer)) + (msleep("text") != NULL) + three[0];
}
