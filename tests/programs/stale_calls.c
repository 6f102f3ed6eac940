/*
 * System calls with memory of freed blocks that held handlers' data. The program counts
 * what it sees, to be compared with what is told.
 *
 * stale_calls buffers     one buffer: each call sends from it, or receives into it
 * stale_calls vectors     two buffers, the second in a freed block; then the vector too
 * stale_calls messages    the same, and the name and header of the message
 * stale_calls cancelled   a thread that is cancelled in a read into a freed block
 * stale_calls jumped      a read into one that a signal handler leaves by a jump
 * stale_calls wild        EFAULT stays EFAULT, a part of a buffer a part
 * stale_calls live        each call with live blocks between freed ones
 */
#include "gates.h"
#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { WORDS = 32, PAGE = 4096, LEN = sizeof(uint64_t) };
#define POISON 0x6b6b6b6b6b6b6b6bul
#define MAGIC 0x600d600d600d600dul

struct data {
	uint64_t words[WORDS];
};

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

	signal(SIGALRM, jump);
	if (!sigsetjmp(back, 1)) {
		struct itimerval soon = { .it_value.tv_usec = 1000, .it_interval.tv_usec = 1000 };

		setitimer(ITIMER_REAL, &soon, NULL);
		read(ends[1], words, LEN);
	}
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
		{ "live", live },
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
