/*
 * Timers that are descriptors, and signals that are read from one: prints what it
 * did, for comparison with what was counted.
 */
#include "gates.h"

#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static long made, armed, deletes, consumed;

static int new_timerfd(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0)
		die("timerfd_create");
	made++;
	return fd;
}

static void set(int fd, long value_ns, long interval_ns)
{
	struct itimerspec when = {
		.it_value.tv_nsec = value_ns, .it_interval.tv_nsec = interval_ns,
	};

	if (timerfd_settime(fd, 0, &when, NULL))
		die("timerfd_settime");
	*(value_ns ? &armed : &deletes) += 1;
}

static void wait_for(int fd)
{
	unsigned long expiries;

	if (read(fd, &expiries, sizeof expiries) != sizeof expiries)
		die("read");
	consumed += (long)expiries;
}

static void end(int fd, int is_last)
{
	if (close(fd))
		die("close");
	deletes += is_last;
}

/* Duplicates by every call; the timer ends with the last of them. */
static void duplicates(void)
{
	int fd = new_timerfd(), copies[4];

	copies[0] = dup(fd);
	copies[1] = dup2(fd, 200);
	copies[2] = dup3(fd, 201, O_CLOEXEC);
	copies[3] = fcntl(fd, F_DUPFD_CLOEXEC, 202);
	end(fd, 0);
	for (int i = 0; i < 4; i++) {
		if (copies[i] < 0)
			die("dup");
		set(copies[i], NS_PER_MS, 0);
		wait_for(copies[i]);
		end(copies[i], i == 3);
	}
}

/* Ends that are no close of it alone. */
static void other_ends(void)
{
	int fd = new_timerfd(), zero = open("/dev/zero", O_RDONLY);

	if (zero < 0 || dup2(zero, fd) != fd)
		die("dup2");
	deletes++;
	char byte;
	if (read(fd, &byte, 1) != 1 || byte)
		die("read of /dev/zero");
	close(fd);
	close(zero);
	fd = new_timerfd();
	/* One that fails ends nothing. */
	if (dup2(-1, fd) != -1 || errno != EBADF)
		die("dup2 of nothing");
	set(fd, NS_PER_MS, 0);
	wait_for(fd);
	if (close_range(fd, fd, 0))
		die("close_range");
	deletes++;
}

/* A child's descriptors are its own. */
static void children(void)
{
	int fd = new_timerfd(), status;
	pid_t child = vfork();

	if (!child) {
		close(fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	child = fork();
	if (!child) {
		close(fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	deletes++; /* the fork child's, of its own last descriptor */
	set(fd, NS_PER_MS, 0);
	wait_for(fd);
	end(fd, 1);
}

static void signals(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec when = { .it_value.tv_nsec = NS_PER_MS };
	struct signalfd_siginfo info[2];
	sigset_t set;
	timer_t timer;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0 || timer_create(CLOCK_MONOTONIC, &event, &timer))
		die("signalfd");
	made++;
	for (int i = 0; i < 3; i++) {
		if (timer_settime(timer, 0, &when, NULL))
			die("timer_settime");
		armed++;
		if (read(fd, info, sizeof info) != sizeof *info)
			die("read of signals");
		consumed++;
	}
	/* Not a timer's. */
	raise(SIGUSR1);
	if (read(fd, info, sizeof info) != sizeof *info)
		die("read of a signal");
	timer_delete(timer);
	deletes++;
	close(fd);
}

int main(void)
{
	int fd = new_timerfd();

	set(fd, NS_PER_MS, NS_PER_MS);
	for (int i = 0; i < 5; i++)
		wait_for(fd);
	set(fd, 0, 0);
	end(fd, 1);
	duplicates();
	other_ends();
	children();
	signals();
	/* Refused: nothing of this counts. */
	struct itimerspec when = { .it_value.tv_nsec = -1 };
	fd = new_timerfd();
	if (!timerfd_settime(fd, 0, &when, NULL) || timerfd_create(-1, 0) >= 0)
		die("what is refused");
	end(fd, 1);
	printf("made %ld armed %ld deletes %ld consumed %ld\n", made, armed, deletes, consumed);
	return 0;
}
