/*
 * What a timer costs a program: nanoseconds per add, mod, delete and expiry, and
 * bytes per pending timer, the program's own object among them. One thread; the
 * same work for every engine, which the file that includes this is about:
 *
 *   PROGRAM COUNT [order=creation|random] [expire]
 *
 * Every timer is a heap block of its own, initialised before the clock starts. It
 * is armed for a random millisecond in a span of 2^20, a thousand seconds ahead, so
 * that none expires meanwhile; add, mod and delete are the best of several rounds
 * over all timers. `order` is that in which the timers are touched. With `expire`
 * all become due in one tick: the time from the first handler to the last.
 *
 * The including file defines `struct object` and what is declared below.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct object;

static void begin(void);
static void setup(struct object *object);
static void add(struct object *object, unsigned long ms);
static void modify(struct object *object, unsigned long ms);
static void delete(struct object *object);
/* Returns when all timers have expired, which are all due within `ms`. */
static void let_expire(unsigned long ms);

/* No timer expires before the rounds are over ... */
#define FIRST_MS 1000000ul
/* ... nor later than that. */
#define SPAN_MS (1ul << 20)
/* Calls per operation, at least, and rounds. */
#define CALLS 3000000
#define ROUNDS_MIN 3
#define ROUNDS_MAX 300
#define EXPIRIES 3

static size_t count, called;
static struct object **objects;
/* NULL: in the order of their creation. */
static uint32_t *order;
static uint64_t first_ns, last_ns;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Every handler's work. */
static inline void expired(void)
{
	size_t n = __atomic_add_fetch(&called, 1, __ATOMIC_RELAXED);

	if (n == 1)
		first_ns = now_ns();
	if (n == count)
		last_ns = now_ns();
}

static uint32_t number(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static inline struct object *object_at(size_t i)
{
	return objects[order ? order[i] : i];
}

/* The best of several rounds: add, mod, delete; bytes a timer while all are pending. */
struct cost {
	double add, modify, delete, bytes;
};

static double least(double a, double b)
{
	return a < b ? a : b;
}

/* Bytes of this process in memory. */
static size_t resident(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		abort();
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

#define NS_EACH(operation)                                                       \
	({                                                                       \
		uint64_t start = now_ns();                                       \
		for (size_t i = 0; i < count; i++)                               \
			operation;                                               \
		(double)(now_ns() - start) / (double)count;                      \
	})

static void one_round(struct cost *best, size_t before)
{
	best->add = least(best->add, NS_EACH(add(object_at(i), FIRST_MS + number() % SPAN_MS)));
	best->modify =
		least(best->modify, NS_EACH(modify(object_at(i), FIRST_MS + number() % SPAN_MS)));
	if (best->bytes == 0)
		best->bytes = (double)(resident() - before) / (double)count;
	best->delete = least(best->delete, NS_EACH(delete(object_at(i))));
}

/* All in one tick, once the last was queued. */
static double expire_all(void)
{
	double best = 1e9;

	for (int round = 0; round < EXPIRIES; round++) {
		unsigned long ms = 300 + count / 1000;
		uint64_t start = now_ns();

		called = 0;
		for (size_t i = 0; i < count; i++) {
			unsigned long passed = (now_ns() - start) / 1000000;

			add(object_at(i), passed < ms ? ms - passed : 0);
		}
		let_expire(ms);
		if (__atomic_load_n(&called, __ATOMIC_ACQUIRE) != count)
			abort();
		best = least(best, (double)(last_ns - first_ns) / (double)count);
	}
	return best;
}

static void shuffle(void)
{
	order = malloc(count * sizeof(*order));
	for (size_t i = 0; i < count; i++) {
		size_t other = ((uint64_t)number() * (i + 1)) >> 32;

		order[i] = order[other];
		order[other] = (uint32_t)i;
	}
}

static int work(int argc, char **argv)
{
	struct cost best = { 1e9, 1e9, 1e9, 0 };
	size_t rounds, before;

	if (argc < 2 || (count = strtoul(argv[1], NULL, 10)) == 0) {
		fprintf(stderr, "usage: %s COUNT [order=creation|random] [expire]\n", argv[0]);
		return 2;
	}
	objects = calloc(count, sizeof(*objects));
	memset(objects, 1, count * sizeof(*objects));
	if (argc > 2 && strcmp(argv[2], "order=random") == 0)
		shuffle();
	before = resident();
	begin();
	for (size_t i = 0; i < count; i++) {
		objects[i] = malloc(sizeof(*objects[i]));
		setup(objects[i]);
	}
	rounds = CALLS / count;
	rounds = rounds < ROUNDS_MIN ? ROUNDS_MIN : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	for (size_t i = 0; i < rounds; i++)
		one_round(&best, before);
	printf("add %.1f\nmod %.1f\ndelete %.1f\nbytes %.0f\n", best.add, best.modify, best.delete,
	       best.bytes);
	if (argc > 3 && strcmp(argv[3], "expire") == 0)
		printf("expire %.1f\n", expire_all());
	return 0;
}
