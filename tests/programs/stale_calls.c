/*
 * System calls with memory of freed blocks that held handlers' data. The program counts
 * what it sees, to be compared with what is told.
 *
 * stale_calls buffers     one buffer: each call sends from it, or receives into it
 * stale_calls vectors     two buffers, the second in a freed block; then the vector too
 * stale_calls messages    the same, and the name and header of the message
 * stale_calls addresses   datagrams with their addresses in one, buffers there or not
 * stale_calls endless     lengths beyond all memory
 * stale_calls whole       what files take as a whole, over two pages
 * stale_calls cancelled   a thread that is cancelled in a read into a freed block
 * stale_calls jumped      a read into one that a signal handler leaves by a jump
 * stale_calls wild        EFAULT stays EFAULT, a part of a buffer a part
 * stale_calls structures  each call with a structure or a name, and only that, in one
 * stale_calls refused     what has no alias, twice
 * stale_calls live        each call with live blocks between freed ones
 */
#include "gates.h"
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { WORDS = 32, PAGE = 4096, LEN = sizeof(uint64_t) };
#define POISON 0x6b6b6b6b6b6b6b6bul
#define MAGIC 0x600d600d600d600dul

struct data {
	uint64_t words[WORDS];
};

/* What _FORTIFY_SOURCE makes of them. */
int __open_2(const char *, int);
int __poll_chk(struct pollfd *, nfds_t, int, size_t);
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);

static unsigned long wrong;
static int ends[2], file;

#define EXPECT(got, wanted) expect((uint64_t)(got), (uint64_t)(wanted), __LINE__)

static void expect(uint64_t got, uint64_t wanted, int line)
{
	if (got == wanted)
		return;
	printf("line %d: %#lx instead of %#lx\n", line, got, wanted);
	wrong++;
}

static void handler(union sigval value)
{
	(void)value;
}

/* A block that was the data of a timer; each of its words is MAGIC. */
static struct data *new_data(timer_t *timer)
{
	struct data *data = malloc(sizeof *data);

	for (int at = 0; at < WORDS; at++)
		data->words[at] = MAGIC;
	*timer = new_timer(handler, data);
	return data;
}

static struct data *freed_data(void)
{
	timer_t timer;
	/* The compiler would warn. */
	struct data *volatile data = new_data(&timer);

	timer_delete(timer);
	free(data);
	return data;
}

static void connect_ends(int type)
{
	if (socketpair(AF_UNIX, type, 0, ends))
		die("socketpair");
}

/* What was sent. */
static uint64_t received(void)
{
	uint64_t word = 0;

	EXPECT(read(ends[1], &word, LEN), LEN);
	return word;
}

static void give(void)
{
	uint64_t word = MAGIC;

	EXPECT(write(ends[0], &word, LEN), LEN);
}

static uint64_t word_of_file(off_t at)
{
	uint64_t word = 0;

	EXPECT(pread(file, &word, LEN, at), LEN);
	return word;
}

static void buffers(void)
{
	uint64_t *words = freed_data()->words;

	EXPECT(write(ends[0], &words[0], LEN), LEN);
	EXPECT(received(), POISON);
	EXPECT(send(ends[0], &words[1], LEN, 0), LEN);
	EXPECT(received(), POISON);
	EXPECT(sendto(ends[0], &words[2], LEN, 0, NULL, 0), LEN);
	EXPECT(received(), POISON);
	EXPECT(pwrite(file, &words[3], LEN, 0), LEN);
	EXPECT(word_of_file(0), POISON);
	give();
	EXPECT(read(ends[1], &words[4], LEN), LEN);
	give();
	EXPECT(recv(ends[1], &words[5], LEN, 0), LEN);
	give();
	EXPECT(recvfrom(ends[1], &words[6], LEN, 0, NULL, NULL), LEN);
	EXPECT(pread(file, &words[7], LEN, 0), LEN);
	for (int at = 4; at < 7; at++) {
		EXPECT(write(ends[0], &words[at], LEN), LEN);
		EXPECT(received(), MAGIC);
	}
}

static void vectors(void)
{
	uint64_t *words = freed_data()->words, live = MAGIC, got[2];
	struct iovec two[2] = { { &live, LEN }, { &words[0], LEN } };
	struct iovec *vector = (struct iovec *)&words[8];
	/* The compiler would warn. */
	volatile int too_many = 4096;

	/* The live half, and the freed one. */
	EXPECT(writev(ends[0], two, 2), 2 * LEN);
	EXPECT(received(), MAGIC);
	EXPECT(received(), POISON);
	EXPECT(pwritev(file, two, 2, 0), 2 * LEN);
	EXPECT(word_of_file(0), MAGIC);
	EXPECT(word_of_file(LEN), POISON);
	live = 0;
	give();
	give();
	EXPECT(readv(ends[1], two, 2), 2 * LEN);
	EXPECT(live, MAGIC);
	live = 0;
	EXPECT(preadv(file, two, 2, 0), 2 * LEN);
	EXPECT(live, MAGIC);
	/* Less than was asked for: nothing of the freed half. */
	give();
	EXPECT(readv(ends[1], two, 2), LEN);
	/* The vector lies in the block, and names live memory. */
	vector[0] = (struct iovec){ &live, LEN };
	EXPECT(writev(ends[0], vector, 1), LEN);
	EXPECT(received(), MAGIC);
	/* Too many, and none. */
	EXPECT(writev(ends[0], vector, too_many), -1);
	EXPECT(errno, EINVAL);
	EXPECT(writev(ends[0], two, -too_many), -1);
	EXPECT(errno, EINVAL);
	EXPECT(pread(file, got, sizeof got, 0), sizeof got);
}

static void messages(void)
{
	uint64_t *words = freed_data()->words, live = MAGIC;
	struct iovec two[2] = { { &live, LEN }, { &words[0], LEN } };
	struct msghdr message = { .msg_iov = two, .msg_iovlen = 2 };
	struct msghdr *stale = (struct msghdr *)&words[8];
	char control[CMSG_SPACE(sizeof(int))];

	EXPECT(sendmsg(ends[0], &message, 0), 2 * LEN);
	EXPECT(received(), MAGIC);
	EXPECT(received(), POISON);
	live = 0;
	give();
	give();
	message.msg_flags = -1;
	EXPECT(recvmsg(ends[1], &message, 0), 2 * LEN);
	EXPECT(live, MAGIC);
	EXPECT(message.msg_flags, 0);
	/* Data sent along, and received into live memory. */
	message.msg_control = control;
	message.msg_controllen = sizeof control;
	memset(control, 0, sizeof control);
	struct cmsghdr *part = CMSG_FIRSTHDR(&message);
	*part = (struct cmsghdr){ CMSG_LEN(sizeof file), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(part), &file, sizeof file);
	EXPECT(sendmsg(ends[0], &message, 0), 2 * LEN);
	memset(control, 0, sizeof control);
	EXPECT(recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC), 2 * LEN);
	EXPECT(message.msg_controllen, CMSG_SPACE(sizeof file));
	EXPECT(message.msg_flags, MSG_CMSG_CLOEXEC);
	/* The header lies in the block, and names live memory. */
	message = (struct msghdr){ .msg_iov = two, .msg_iovlen = 1, .msg_flags = -1 };
	*stale = message;
	live = MAGIC;
	EXPECT(sendmsg(ends[0], stale, 0), LEN);
	EXPECT(recvmsg(ends[1], stale, 0), LEN);
	EXPECT(*(volatile int *)&stale->msg_flags, 0);
	errno = 0;
	EXPECT(recvmsg(ends[1], stale, MSG_DONTWAIT), -1);
	EXPECT(errno, EAGAIN);
}

/* The block and where in it the next structure is to lie. */
static struct data *block;
static size_t place;

/* Room for a structure in the block, and what it is to be. */
static void *stale(const void *content, size_t len)
{
	char *at = (char *)block + place;

	place += (len + 7) / 8 * 8;
	if (place > sizeof *block)
		die("block");
	memcpy(at, content, len);
	return at;
}

#define STALE(type, ...) ((type *)stale(&(type)__VA_ARGS__, sizeof(type)))

static void next_block(void)
{
	block = freed_data();
	place = 0;
}

static void times(void)
{
	int number = timerfd_create(CLOCK_MONOTONIC, 0), signals;
	struct itimerspec far = { .it_value.tv_sec = 1000 }, old;
	struct itimerval far_too = { .it_value.tv_sec = 1000 }, old_too;
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer, *stale_timer;

	next_block();
	EXPECT(nanosleep(STALE(struct timespec, { 0, 1 }), NULL), 0);
	EXPECT(clock_nanosleep(CLOCK_MONOTONIC, 0, STALE(struct timespec, { 0, 1 }), NULL), 0);
	EXPECT(clock_nanosleep(CLOCK_MONOTONIC, 0, STALE(struct timespec, { 0, -1 }), NULL), EINVAL);
	EXPECT(select(0, NULL, NULL, NULL, STALE(struct timeval, { 0, 1 })), 0);
	/* Armed by what lies there, and its old time stored there. */
	EXPECT(timerfd_settime(number, 0, stale(&far, sizeof far), NULL), 0);
	EXPECT(timerfd_settime(number, 0, &far, stale(&old, sizeof old)), 0);
	next_block();
	EXPECT(timerfd_gettime(number, stale(&old, sizeof old)), 0);
	EXPECT(((volatile struct itimerspec *)block)->it_value.tv_sec, 999);
	EXPECT(setitimer(ITIMER_REAL, stale(&far_too, sizeof far_too), NULL), 0);
	EXPECT(setitimer(ITIMER_REAL, &far_too, stale(&old_too, sizeof old_too)), 0);
	EXPECT(getitimer(ITIMER_REAL, stale(&old_too, sizeof old_too)), 0);
	far_too.it_value.tv_sec = 0;
	EXPECT(setitimer(ITIMER_REAL, &far_too, NULL), 0);
	next_block();
	EXPECT(timer_create(CLOCK_MONOTONIC, stale(&event, sizeof event), &timer), 0);
	EXPECT(timer_settime(timer, 0, stale(&far, sizeof far), NULL), 0);
	EXPECT(timer_settime(timer, 0, &far, stale(&old, sizeof old)), 0);
	EXPECT(timer_gettime(timer, stale(&old, sizeof old)), 0);
	EXPECT(timer_delete(timer), 0);
	next_block();
	stale_timer = STALE(timer_t, { 0 });
	EXPECT(timer_create(CLOCK_MONOTONIC, &event, stale_timer), 0);
	EXPECT(timer_delete(*(timer_t volatile *)stale_timer), 0);
	signals = signalfd(-1, STALE(sigset_t, { { 1 << (SIGUSR1 - 1) } }), 0);
	EXPECT(signals >= 0, 1);
	close(signals);
	close(number);
}

static void descriptors(void)
{
	int polling = epoll_create1(0), *numbers, *left;
	struct pollfd *entry;
	struct epoll_event event = { .events = EPOLLOUT, .data.u64 = MAGIC }, *got;
	struct timeval soon = { 0, 1 };
	fd_set *set;

	next_block();
	entry = STALE(struct pollfd, { .fd = ends[0], .events = POLLOUT });
	EXPECT(poll(entry, 1, -1), 1);
	EXPECT(((volatile struct pollfd *)entry)->revents, POLLOUT);
	EXPECT(ppoll(entry, 1, NULL, NULL), 1);
	EXPECT(ppoll(&(struct pollfd){ .fd = ends[0], .events = POLLOUT }, 1, NULL, (sigset_t *)entry), 1);
	EXPECT(__poll_chk(entry, 1, -1, sizeof *entry), 1);
	EXPECT(epoll_ctl(polling, EPOLL_CTL_ADD, ends[0], stale(&event, sizeof event)), 0);
	got = STALE(struct epoll_event, { 0 });
	EXPECT(epoll_wait(polling, got, 1, -1), 1);
	EXPECT(((volatile struct epoll_event *)got)->data.u64, MAGIC);
	EXPECT(epoll_pwait(polling, got, 1, -1, NULL), 1);
	EXPECT(epoll_pwait(polling, &event, 1, -1, (sigset_t *)STALE(uint64_t, { 0 })), 1);
	/* Nothing is stored if there is nothing. */
	EXPECT(epoll_ctl(polling, EPOLL_CTL_DEL, ends[0], NULL), 0);
	EXPECT(epoll_wait(polling, got, 1, 0), 0);
	set = stale(&(fd_set){ 0 }, 8);
	EXPECT(select(1, set, NULL, NULL, &soon), 0);
	left = STALE(int, { 7 });
	give();
	EXPECT(ioctl(ends[1], FIONREAD, left), 0);
	EXPECT(*(volatile int *)left, LEN);
	EXPECT(received(), MAGIC);
	numbers = stale((int[2]){ 0 }, sizeof(int[2]));
	EXPECT(pipe(numbers), 0);
	close(((volatile int *)numbers)[0]);
	close(((volatile int *)numbers)[1]);
	next_block();
	numbers = stale((int[2]){ 0 }, sizeof(int[2]));
	EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, numbers), 0);
	close(((volatile int *)numbers)[0]);
	close(((volatile int *)numbers)[1]);
	close(polling);
}

static void sockets(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listening = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0), one;
	socklen_t len = sizeof any, *stale_len;
	int *value;

	next_block();
	EXPECT(setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, STALE(int, { 1 }), sizeof(int)), 0);
	value = STALE(int, { 7 });
	len = sizeof(int);
	EXPECT(getsockopt(listening, SOL_SOCKET, SO_REUSEADDR, value, &len), 0);
	EXPECT(*(volatile int *)value, 1);
	EXPECT(getsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, STALE(socklen_t, { 4 })), 0);
	EXPECT(one, 1);
	EXPECT(bind(listening, stale(&any, sizeof any), sizeof any), 0);
	EXPECT(listen(listening, 1), 0);
	stale_len = STALE(socklen_t, { sizeof any });
	EXPECT(getsockname(listening, (struct sockaddr *)&any, stale_len), 0);
	EXPECT(connect(other, stale(&any, sizeof any), sizeof any), 0);
	len = sizeof any;
	one = accept(listening, stale(&any, sizeof any), &len);
	EXPECT(one >= 0, 1);
	close(one);
	close(other);
	close(listening);
}

static void addresses(void)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in *from, *to;
	int number = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof own, *stale_len;
	uint64_t word = MAGIC, *buffer;

	EXPECT(bind(number, (struct sockaddr *)&own, len), 0);
	EXPECT(getsockname(number, (struct sockaddr *)&own, &len), 0);
	next_block();
	buffer = STALE(uint64_t, { 0 });
	to = stale(&own, sizeof own);
	from = STALE(struct sockaddr_in, { 0 });
	stale_len = STALE(socklen_t, { sizeof own });
	EXPECT(sendto(number, &word, LEN, 0, (struct sockaddr *)to, sizeof own), LEN);
	EXPECT(sendto(number, buffer, LEN, 0, (struct sockaddr *)to, sizeof own), LEN);
	EXPECT(sendto(number, buffer, LEN, 0, (struct sockaddr *)to, 1000), -1);
	EXPECT(errno, EINVAL);
	/* The buffer is live, then not. */
	word = 0;
	EXPECT(recvfrom(number, &word, LEN, 0, (struct sockaddr *)from, &len), LEN);
	EXPECT(word, MAGIC);
	EXPECT(((volatile struct sockaddr_in *)from)->sin_port, own.sin_port);
	EXPECT(recvfrom(number, buffer, LEN, 0, (struct sockaddr *)from, stale_len), LEN);
	EXPECT(*(volatile socklen_t *)stale_len, sizeof own);
	/* The length alone, which nobody looks at without an address. */
	for (int at = 0; at < 4; at++)
		EXPECT(sendto(number, &word, LEN, 0, (struct sockaddr *)&own, sizeof own), LEN);
	*(volatile socklen_t *)stale_len = sizeof own;
	EXPECT(recvfrom(number, &word, LEN, 0, (struct sockaddr *)&own, stale_len), LEN);
	EXPECT(recvfrom(number, &word, LEN, 0, NULL, stale_len), LEN);
	/* As with _FORTIFY_SOURCE, which has seven arguments. */
	EXPECT(__recvfrom_chk(number, buffer, LEN, LEN, 0, (struct sockaddr *)&own, &len), LEN);
	EXPECT(__recvfrom_chk(number, &word, LEN, LEN, 0, (struct sockaddr *)from, &len), LEN);
	EXPECT(recv(number, &word, LEN, MSG_DONTWAIT), -1);
	close(number);
}

/* What lies behind the block is live: what was received must fit into it. */
static void endless(void)
{
	uint64_t *words = freed_data()->words;
	/* The compiler would warn. */
	volatile size_t none = -1, most = SSIZE_MAX, large = (size_t)1 << 40;

	give();
	EXPECT(recv(ends[1], &words[0], none, 0), LEN);
	give();
	EXPECT(__recv_chk(ends[1], &words[1], none, none, 0), LEN);
	give();
	EXPECT(read(ends[1], &words[2], large), LEN);
	EXPECT(read(ends[1], &words[3], most), -1);
	EXPECT(errno, EFAULT);
	EXPECT(__read_chk(ends[1], &words[3], none, none), -1);
	EXPECT(errno, EFAULT);
	EXPECT(read(-1, &words[3], most), -1);
	EXPECT(errno, EBADF);
}

static void whole(void)
{
	/* The compiler would warn. */
	char *volatile large = malloc(2 * PAGE);
	timer_t timer = new_timer(handler, large);
	int comm = open("/proc/self/comm", O_RDWR), events = inotify_init1(IN_NONBLOCK);
	char name[] = "/tmp/deadwalk-whole-XXXXXX", got[16] = "";

	timer_delete(timer);
	free(large);
	memcpy(large + PAGE - 4, "two-pages", 9);
	EXPECT(write(comm, large + PAGE - 4, 9), 9);
	EXPECT(pread(comm, got, sizeof got, 0), 10);
	EXPECT(memcmp(got, "two-pages\n", 10), 0);
	close(mkstemp(name));
	EXPECT(inotify_add_watch(events, name, IN_OPEN) > 0, 1);
	close(open(name, O_RDONLY));
	EXPECT(read(events, large + PAGE - 6, PAGE), sizeof(struct inotify_event));
	EXPECT(((volatile char *)large)[PAGE - 2], IN_OPEN);
	EXPECT(read(events, large + PAGE - 6, PAGE), -1);
	EXPECT(errno, EAGAIN);
	unlink(name);
	close(events);
	close(comm);
}

static void names(void)
{
	struct stat *about;
	FILE *stream;
	int number, *status;
	char *name;
	pid_t child;

	next_block();
	name = stale("/proc/self/comm", sizeof "/proc/self/comm");
	EXPECT(access(name, R_OK), 0);
	EXPECT((number = open(name, O_RDONLY)) >= 0, 1);
	EXPECT(openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_EXCL, 0600), -1);
	EXPECT(errno, EEXIST);
	EXPECT((stream = fopen(name, "r")) != NULL, 1);
	fclose(stream);
	EXPECT(unlink(name), -1);
	EXPECT(mkdir(name, 0700), -1);
	EXPECT(rmdir(name), -1);
	EXPECT(rename(name, name), 0);
	EXPECT(opendir(name) == NULL, 1);
	EXPECT(__open_2(name, O_WRONLY | O_DIRECTORY), -1);
	EXPECT(errno, ENOTDIR);
	about = STALE(struct stat, { 0 });
	EXPECT(fstat(number, about), 0);
	EXPECT(S_ISREG(((volatile struct stat *)about)->st_mode), 1);
	EXPECT(__pread_chk(number, about, 2, 0, sizeof *about), 2);
	EXPECT(readlink("/proc/self/exe", (char *)about, 8), 8);
	EXPECT(getrusage(RUSAGE_SELF, (struct rusage *)about), 0);
	close(number);
	status = STALE(int, { -1 });
	EXPECT(pipe(ends), 0);
	if (!(child = fork())) {
		close(ends[1]);
		_exit(read(ends[0], &number, 1) ? 1 : 5);
	}
	EXPECT(waitpid(child, status, WNOHANG), 0);
	close(ends[1]);
	EXPECT(waitpid(child, status, 0), child);
	EXPECT(WEXITSTATUS(*(volatile int *)status), 5);
	next_block();
	/* As long as its block; what lies behind it is no name either. */
	EXPECT(open((char *)block, O_RDONLY), -1);
	EXPECT(stat("/proc/self/comm", STALE(struct stat, { 0 })), 0);
}

static void structures(void)
{
	times();
	descriptors();
	sockets();
	names();
}

static void refused(void)
{
	enum { MANY = 100 };
	/* The compiler would warn. */
	char *volatile large = malloc(2 * PAGE);
	timer_t timer = new_timer(handler, large);
	struct pollfd *entries;

	timer_delete(timer);
	free(large);
	entries = (struct pollfd *)(large + PAGE - MANY);
	for (int at = 0; at < 2; at++) {
		errno = 0;
		EXPECT(poll(entries, MANY, 0), -1);
		EXPECT(errno, EFAULT);
	}
}

static void *blocked(void *buffer)
{
	read(ends[1], buffer, LEN);
	return NULL;
}

static void cancelled(void)
{
	uint64_t *words = freed_data()->words;
	pthread_t thread;
	void *end;

	pthread_create(&thread, NULL, blocked, words);
	pthread_cancel(thread);
	pthread_join(thread, &end);
	EXPECT(end == PTHREAD_CANCELED, 1);
	give();
	EXPECT(read(ends[1], words, LEN), LEN);
}

static sigjmp_buf back;

static void jump(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

static void jumped(void)
{
	uint64_t *words = freed_data()->words;
	struct pollfd *nothing = (struct pollfd *)(words + 8);
	sigset_t alarm_only = { 0 }, none = { 0 };

	signal(SIGALRM, jump);
	if (!sigsetjmp(back, 1)) {
		struct itimerval soon = { .it_value.tv_usec = 1000, .it_interval.tv_usec = 1000 };

		setitimer(ITIMER_REAL, &soon, NULL);
		read(ends[1], words, LEN);
	}
	/* From here on only in the call. */
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm_only, NULL);
	*(volatile int *)&nothing->fd = -1;
	if (!sigsetjmp(back, 1))
		ppoll(nothing, 1, NULL, &none);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	give();
	EXPECT(read(ends[1], words, LEN), LEN);
}

/* With freed blocks around, so that everything is looked at. */
static void wild(void)
{
	char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *edge = page + PAGE, byte = 1;
	void *nowhere[] = { edge, edge + PAGE / 2, (void *)8, (void *)-64L };
	struct iovec two[2] = { { &byte, 1 }, { edge, 1 } };

	freed_data();
	if (page == MAP_FAILED || mprotect(edge, PAGE, PROT_NONE))
		die("mmap");
	for (unsigned at = 0; at < sizeof nowhere / sizeof *nowhere; at++) {
		struct msghdr message = { .msg_iov = nowhere[at], .msg_iovlen = 1 };
		ssize_t got[] = {
			(errno = 0, write(ends[0], nowhere[at], 1)),
			pwrite(file, nowhere[at], 1, 0),
			send(ends[0], nowhere[at], 1, 0),
			sendto(ends[0], nowhere[at], 1, 0, NULL, 0),
			writev(ends[0], nowhere[at], 1),
			pwritev(file, nowhere[at], 1, 0),
			readv(ends[1], nowhere[at], 1),
			preadv(file, nowhere[at], 1, 0),
			sendmsg(ends[0], nowhere[at], 0),
			recvmsg(ends[1], nowhere[at], MSG_DONTWAIT),
			sendmsg(ends[0], &message, 0),
			recvmsg(ends[1], &message, MSG_DONTWAIT),
		};

		for (unsigned call = 0; call < sizeof got / sizeof *got; call++)
			EXPECT(got[call], -1);
		EXPECT(errno, EFAULT);
	}
	/* A part that is there, and one that is not. */
	EXPECT(pwrite(file, edge - 4, 8, 0), 4);
	EXPECT(pwritev(file, two, 2, 0), 1);
	EXPECT(pread(file, edge - 2, 8, 0), 2);
	/* The header ends behind the edge. */
	EXPECT(sendmsg(ends[0], (struct msghdr *)(edge - 16), 0), -1);
	EXPECT(errno, EFAULT);
	errno = 0;
	EXPECT(write(-1, edge, 1), -1);
	EXPECT(errno, EBADF);
}

static void live(void)
{
	timer_t timers[3];
	struct data *blocks[3];

	for (int at = 0; at < 3; at++)
		blocks[at] = new_data(&timers[at]);
	for (int at = 0; at < 3; at += 2) {
		timer_delete(timers[at]);
		free(blocks[at]);
	}
	uint64_t *words = blocks[1]->words;
	struct iovec *vector = (struct iovec *)&words[2];
	struct msghdr *message = (struct msghdr *)&words[8];

	EXPECT(write(ends[0], words, LEN), LEN);
	EXPECT(received(), MAGIC);
	*vector = (struct iovec){ words, LEN };
	EXPECT(writev(ends[0], vector, 1), LEN);
	EXPECT(received(), MAGIC);
	*message = (struct msghdr){ .msg_iov = vector, .msg_iovlen = 1 };
	EXPECT(sendmsg(ends[0], message, 0), LEN);
	EXPECT(received(), MAGIC);
	give();
	EXPECT(read(ends[1], words, LEN), LEN);
	timer_delete(timers[1]);
	free(blocks[1]);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {
		{ "buffers", buffers },     { "vectors", vectors }, { "messages", messages },
		{ "cancelled", cancelled }, { "jumped", jumped },   { "wild", wild },
		{ "live", live },           { "structures", structures }, { "refused", refused },
		{ "addresses", addresses }, { "endless", endless }, { "whole", whole },
	};
	const char *what = argc > 1 ? argv[1] : "";
	FILE *temporary = tmpfile();

	if (!temporary)
		die("tmpfile");
	file = fileno(temporary);
	connect_ends(SOCK_STREAM);
	for (unsigned at = 0; at < sizeof modes / sizeof *modes; at++) {
		if (strcmp(what, modes[at].name))
			continue;
		modes[at].run();
		printf("wrong %lu\n", wrong);
		return 3;
	}
	return 2;
}
