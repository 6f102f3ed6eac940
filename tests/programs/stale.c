/*
 * Handlers that go on to use their data after it was freed. The program counts what it
 * sees, to be compared with what is told.
 *
 * stale reads [SIZE]  1,000 reads through ten kinds of instruction, one line each, of
 *                     a block of SIZE bytes
 * stale writes       writes, and reads of what was written
 * stale calls         the same by system calls
 * stale callers       reads by a function of libc, from two places
 * stale aged          reads by one instruction, and between which times after the free
 * stale many N        N blocks that are written to, more than have shadows
 * stale threads      two threads, 20,000 reads each
 * stale interrupted [own]  reads, and signals whose handler reads too; a handler of
 *                     SIGSEGV is set
 * stale rounds N     data freed behind timer_delete, N rounds, handlers that sleep a bit
 * stale fixed N      the same, waiting for the handler
 */
#include "gates.h"
#include <stdint.h>
#include <sys/socket.h>

enum { READS = 100, READERS = 2, READS_OF_A_THREAD = 20000, WORDS = 8 };
#define POISON 0x6b6b6b6b6b6b6b6bul
#define MAGIC 0x600d600d600d600dul

struct data {
	uint64_t words[WORDS];
};

static sem_t entered, go, over;
static unsigned long wrong;
static size_t block_size = sizeof(struct data);

static void expect(uint64_t got, uint64_t wanted)
{
	wrong += got != wanted;
}

/* Each statement is one instruction that reads, on a line of its own. */
static void read_in_ten_ways(struct data *data)
{
	struct { uint64_t low, high; } wide;
	uint64_t got, one = 1;
	unsigned char copy[16], flag;
	double number;

	__asm__ volatile("movq (%1), %0" : "=r"(got) : "r"(data));
	expect(got, POISON);
	__asm__ volatile("movzbl 3(%1), %k0" : "=r"(got) : "r"(data));
	expect(got, POISON & 0xff);
	__asm__ volatile("movslq 8(%1), %0" : "=r"(got) : "r"(data));
	expect(got, (uint64_t)(int64_t)(int32_t)POISON);
	got = 1;
	__asm__ volatile("addq 8(%1,%2,8), %0" : "+r"(got) : "r"(data), "r"(one));
	expect(got, POISON + 1);
	__asm__ volatile("cmpb $0x6b, 5(%1)\n\tsete %0" : "=r"(flag) : "r"(data) : "cc");
	expect(flag, 1);
	__asm__ volatile("pushq 16(%1)\n\tpopq %0" : "=r"(got) : "r"(data));
	expect(got, POISON);
	__asm__ volatile("movups 16(%1), %%xmm3\n\tmovups %%xmm3, %0" : "=m"(wide) : "r"(data) : "xmm3");
	expect(wide.low & wide.high, POISON);
	void *from = data, *to = copy;
	size_t count = sizeof copy;
	__asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
	expect(copy[0] & copy[15], POISON & 0xff);
	__asm__ volatile("imulq $3, 24(%1), %0" : "=r"(got) : "r"(data));
	expect(got, POISON * 3);
	__asm__ volatile("cvtsi2sdq 32(%1), %0" : "=x"(number) : "r"(data));
	expect(number == (double)(int64_t)POISON, 1);
}

static void reading(union sigval value)
{
	gate_open(&entered);
	gate_pass(&go);
	for (int round = 0; round < READS; round++)
		read_in_ten_ways(value.sival_ptr);
	gate_open(&over);
}

static void writing(union sigval value)
{
	volatile struct data *data = value.sival_ptr;

	gate_open(&entered);
	gate_pass(&go);
	data->words[1] = MAGIC;
	expect(data->words[1], MAGIC);
	expect(data->words[2], POISON);
	__atomic_fetch_add(&data->words[2], 1, __ATOMIC_SEQ_CST);
	expect(data->words[2], POISON + 1);
	gate_open(&over);
}

/* Through a pair of sockets, with every call that takes one buffer. */
static void calling(union sigval value)
{
	struct data *data = value.sival_ptr;
	uint64_t word = 0, sent = MAGIC;
	ssize_t len = sizeof word;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		die("socketpair");
	gate_open(&entered);
	gate_pass(&go);
	expect(write(ends[0], &data->words[0], len), len);
	expect(read(ends[1], &word, len), len);
	expect(word, POISON);
	expect(send(ends[0], &data->words[1], len, 0), len);
	expect(recv(ends[1], &word, len, 0), len);
	expect(word, POISON);
	expect(sendto(ends[0], &data->words[2], len, 0, NULL, 0), len);
	expect(recvfrom(ends[1], &word, len, 0, NULL, NULL), len);
	expect(word, POISON);
	for (int at = 3; at < 6; at++)
		expect(write(ends[0], &sent, len), len);
	expect(read(ends[1], &data->words[3], len), len);
	expect(recv(ends[1], &data->words[4], len, 0), len);
	expect(recvfrom(ends[1], &data->words[5], len, 0, NULL, NULL), len);
	for (int at = 3; at < 6; at++)
		expect(((volatile struct data *)data)->words[at], MAGIC);
	errno = 0;
	expect(recv(ends[1], &data->words[3], len, MSG_DONTWAIT), -1);
	expect(errno, EAGAIN);
	gate_open(&over);
}

/* Not for the compiler to know. */
static int (*volatile compare)(const void *, const void *, size_t) = memcmp;

static __attribute__((noinline)) void compare_once(const struct data *data)
{
	expect(compare(data, &(uint64_t){ MAGIC }, sizeof(uint64_t)) != 0, 1);
}

static __attribute__((noinline)) void compare_twice(const struct data *data)
{
	for (int at = 0; at < 2; at++)
		expect(compare(data, &(uint64_t){ MAGIC }, sizeof(uint64_t)) != 0, 1);
}

static void comparing(union sigval value)
{
	gate_open(&entered);
	gate_pass(&go);
	compare_once(value.sival_ptr);
	compare_twice(value.sival_ptr);
	gate_open(&over);
}

static struct data *new_data(void)
{
	struct data *data = malloc(block_size);

	for (int at = 0; at < WORDS; at++)
		data->words[at] = MAGIC;
	return data;
}

/* A handler of whose timer the data is freed while it runs. */
static void under_a_handler(void (*handler)(union sigval))
{
	struct data *data = new_data();
	timer_t timer = new_timer(handler, data);

	arm(timer, 0);
	gate_pass(&entered);
	timer_delete(timer);
	free(data);
	gate_open(&go);
	gate_pass(&over);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ul + now.tv_nsec;
}

/* Prints the bounds of each read's age. */
static void in_time(void)
{
	enum { AGES = 5 };
	struct data *volatile data = new_data();
	timer_t timer = new_timer(reading, data);

	timer_delete(timer);
	uint64_t before_free = now_ns();
	free(data);
	uint64_t after_free = now_ns();
	for (int at = 0; at < AGES; at++) {
		struct timespec nap = { .tv_nsec = (1L << at) * NS_PER_MS };

		nanosleep(&nap, NULL);
		uint64_t before = now_ns();
		expect(*(volatile uint64_t *)data->words, POISON);
		printf("%lu %lu\n", before - after_free, now_ns() - before_free);
	}
}

static void *reader(void *data)
{
	volatile uint64_t *word = &((struct data *)data)->words[3];

	gate_pass(&go);
	for (int at = 0; at < READS_OF_A_THREAD; at++)
		if (*word != POISON)
			__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void in_threads(void)
{
	/* The compiler would warn. */
	struct data *volatile data = new_data();
	timer_t timer = new_timer(reading, data);
	pthread_t threads[READERS];

	timer_delete(timer);
	free(data);
	for (int at = 0; at < READERS; at++)
		pthread_create(&threads[at], NULL, reader, data);
	for (int at = 0; at < READERS; at++)
		gate_open(&go);
	for (int at = 0; at < READERS; at++)
		pthread_join(threads[at], NULL);
}

enum { SIGNALS = 2000 };
static struct data *volatile interrupted_data;
static volatile sig_atomic_t signals;

static void read_once(void)
{
	if (((volatile struct data *)interrupted_data)->words[3] != POISON)
		wrong++;
}

static void on_signal(int signal)
{
	(void)signal;
	read_once();
	signals++;
}

static void *interrupter(void *thread)
{
	for (int at = 0; at < SIGNALS; at++) {
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
		while (signals <= at)
			sched_yield();
	}
	return NULL;
}

static void on_fault(int signal)
{
	(void)signal;
	_exit(1);
}

/* Many of the signals come while an access is being performed. */
static void in_interrupts(int has_own)
{
	pthread_t own = pthread_self(), other;
	unsigned long reads = 0;
	timer_t timer;

	interrupted_data = new_data();
	timer = new_timer(reading, interrupted_data);
	timer_delete(timer);
	free(interrupted_data);
	signal(SIGUSR1, on_signal);
	if (has_own)
		signal(SIGSEGV, on_fault);
	pthread_create(&other, NULL, interrupter, &own);
	for (; signals < SIGNALS; reads++)
		read_once();
	pthread_join(other, NULL);
	printf("stale %lu\n", reads + SIGNALS);
}

int deadwalk_watch(const void *block) __attribute__((weak));

static void in_many(long count)
{
	volatile uint64_t **blocks = calloc(count, sizeof *blocks);

	for (long at = 0; at < count; at++) {
		uint64_t *block = malloc(40);

		if (deadwalk_watch)
			deadwalk_watch(block);
		blocks[at] = block;
	}
	for (long at = 0; at < count; at++)
		free((void *)blocks[at]);
	for (long at = 0; at < count; at++)
		blocks[at][2] = at;
	for (long at = 0; at < count; at++)
		expect(blocks[at][2], at);
}

static atomic_ulong stale, runs;

static void sleepy(union sigval value)
{
	volatile struct data *data = value.sival_ptr;
	/* What the stack holds is as good as chance. */
	struct timespec nap = { .tv_nsec = (runs++ * 7919 % 300) * 1000 };

	nanosleep(&nap, NULL);
	/* Neither: the free is just being made, see docs/limits.md. */
	stale += data->words[0] == POISON;
	gate_open(&over);
}

static void in_rounds(long rounds, int waits)
{
	for (long round = 0; round < rounds; round++) {
		struct data *data = new_data();
		timer_t timer = new_timer(sleepy, data);
		unsigned long before = runs;
		struct timespec nap = { .tv_nsec = round * 104729 % 200 * 1000 };

		arm(timer, 0);
		while (runs == before)
			sched_yield();
		nanosleep(&nap, NULL);
		if (waits)
			gate_pass(&over);
		timer_delete(timer);
		free(data);
		if (!waits)
			gate_pass(&over);
	}
	printf("stale %lu\n", (unsigned long)stale);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	long rounds = argc > 2 ? atol(argv[2]) : 1;

	gate_init(&entered);
	gate_init(&go);
	gate_init(&over);
	if (!strcmp(what, "reads") && argc > 2)
		block_size = rounds;
	if (!strcmp(what, "reads"))
		under_a_handler(reading);
	else if (!strcmp(what, "writes"))
		under_a_handler(writing);
	else if (!strcmp(what, "calls"))
		under_a_handler(calling);
	else if (!strcmp(what, "callers"))
		under_a_handler(comparing);
	else if (!strcmp(what, "aged"))
		in_time();
	else if (!strcmp(what, "many"))
		in_many(rounds);
	else if (!strcmp(what, "threads"))
		in_threads();
	else if (!strcmp(what, "interrupted"))
		in_interrupts(argc > 2);
	else if (!strcmp(what, "rounds") || !strcmp(what, "fixed"))
		in_rounds(rounds, *what == 'f');
	else
		return 2;
	printf("wrong %lu\n", wrong);
	return 3;
}
