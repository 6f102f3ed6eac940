/*
 * The C library's headers before ours, or after, and ours in the way of the
 * kernel's own: everything still means what it meant.
 */
#ifdef OURS_FIRST
#include "kernel_order_ours.h"
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/types.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>
#ifndef OURS_FIRST
#include "kernel_order_ours.h"
#endif

static LIST_HEAD(ours);
static LIST_HEAD(bsd_head, bsd_entry) theirs;

int errors(void)
{
	return EINVAL + ENOMEM + PATH_MAX + HZ;
}

int timers(timer_t posix, struct timer_list *kernels)
{
	struct sysinfo info;
	__u32 word = 0;

	return timer_delete(posix) + timer_delete(kernels) + sysinfo(&info) + (int)word +
	       list_empty(&ours) + (theirs.lh_first == NULL);
}
