/*
 * Threads whose pthread keys' destructors free, allocate and set themselves
 * again, for as many rounds as there are; then short threads by the thousand,
 * whose blocks others free. survive_thread_end keys|short [THREADS]
 */
#include "survive.h"

enum { KEYS = 6, AT_ONCE = 20 };

static pthread_key_t keys[KEYS];
static atomic_int destroyed;

/* The value's first byte is the key's number. */
static void destroy(void *value)
{
	int key = *(unsigned char *)value;
	char *again = malloc(30 + key * 900);

	destroyed++;
	live_a_little(key);
	check(value, 20, key);
	free(value);
	mark((unsigned char *)again, 20, key);
	pthread_setspecific(keys[key], again);
	if (destroyed % 4 == 0) {
		pthread_setspecific(keys[key], NULL);
		free(again);
	}
}

static void *with_keys(void *seed)
{
	for (int key = 0; key < KEYS; key++) {
		unsigned char *value = malloc(20);

		mark(value, 20, key);
		pthread_setspecific(keys[key], value);
	}
	live_a_little((unsigned)(size_t)seed);
	return NULL;
}

/* Leaves before its first allocation, after it, or with a block for others. */
static void *short_thread(void *number)
{
	size_t at = (size_t)number;

	if (at % 3 == 0)
		return NULL;
	if (at % 3 == 1)
		live_a_little(at);
	if (at % 5 == 0)
		pthread_exit(malloc(at));
	return calloc(1, at);
}

static void in_waves(int threads, void *(*run)(void *), int detached)
{
	pthread_t wave[AT_ONCE];

	for (int at = 0; at < threads; at += AT_ONCE) {
		for (int n = 0; n < AT_ONCE; n++)
			if (pthread_create(&wave[n], NULL, run, (void *)(size_t)(at + n + 1)))
				die("pthread_create");
		for (int n = 0; n < AT_ONCE; n++) {
			void *block;

			if (detached && n % 2) {
				pthread_detach(wave[n]);
				continue;
			}
			pthread_join(wave[n], &block);
			free(block);
		}
	}
}

int main(int argc, char **argv)
{
	int is_keys = argc > 1 && !strcmp(argv[1], "keys");
	int threads = number(argc, argv, 2, 1000);

	if (is_keys) {
		/* Keys on both sides of one that a heap may have made by now. */
		for (int key = 0; key < KEYS; key++) {
			if (pthread_key_create(&keys[key], destroy))
				die("pthread_key_create");
			free(made(malloc(10)));
		}
		in_waves(threads, with_keys, 0);
		printf("destructors in rounds: %d\n", destroyed > threads * KEYS);
		return 0;
	}
	in_waves(threads, short_thread, 0);
	long before = status_kb("VmRSS:");
	in_waves(threads, short_thread, 1);
	long after = status_kb("VmRSS:");
	printf("threads %d, memory stays: %d\n", 2 * threads, after < before + (24 << 10));
	return 0;
}
