/*
 * P16 for timerfd: a descriptor that was closed is armed again.
 * FIXED: the descriptor is cleared. LOOKALIKE 1: a duplicate is used after the
 * close. 2: numbers given out again are closed, each once.
 */
#include "../gates.h"

#include <sys/timerfd.h>

enum { ROUNDS = 100 };

static int new_timerfd(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0)
		die("timerfd_create");
	return fd;
}

static int arm_timerfd(int fd)
{
	struct itimerspec when = { .it_value.tv_nsec = NS_PER_MS };

	return timerfd_settime(fd, 0, &when, NULL);
}

static void wait_for(int fd)
{
	unsigned long expiries;

	if (read(fd, &expiries, sizeof expiries) != sizeof expiries)
		die("read");
}

int main(void)
{
	int fd = new_timerfd();

	if (arm_timerfd(fd))
		die("timerfd_settime");
	wait_for(fd);
#if defined BAD
	close(fd);
	if (!arm_timerfd(fd) || errno != EBADF)
		return 1;
#elif defined FIXED
	close(fd);
	fd = -1;
	if (fd >= 0)
		arm_timerfd(fd);
#elif LOOKALIKE == 1
	int copy = dup(fd);

	close(fd);
	if (arm_timerfd(copy))
		die("timerfd_settime");
	wait_for(copy);
	close(copy);
#else
	for (int i = 0; i < ROUNDS; i++) {
		close(fd);
		fd = new_timerfd();
		if (arm_timerfd(fd))
			die("timerfd_settime");
		wait_for(fd);
	}
	close(fd);
#endif
	return 0;
}
