/* patterns NAME [PERCENT [THREADS]]: runs one allocator pattern and prints its
 * checksum and the number of its operations. */
#include "pattern.h"

_Atomic uint64_t operations;

static const struct {
	const char *name;
	pattern *run;
} patterns[] = {
	{ "random", random_sizes },
	{ "larson", larson },
	{ "producer-consumer", producer_consumer },
	{ "short-threads", short_threads },
	{ "realloc-growth", realloc_growth },
	{ "fragmentation", fragmentation },
	{ "large", large },
	{ "cache-local", cache_local },
	{ "symbolic", symbolic },
	{ "live", live },
	{ "endurance", endurance },
};

int main(int argc, char **argv)
{
	struct amount amount = { .percent = 100, .threads = 0 };
	if (argc > 2)
		amount.percent = (unsigned)atoi(argv[2]);
	if (argc > 3)
		amount.threads = (unsigned)atoi(argv[3]);
	for (size_t i = 0; argc > 1 && i < sizeof patterns / sizeof *patterns; i++) {
		if (!strcmp(argv[1], patterns[i].name)) {
			uint64_t checksum = patterns[i].run(amount);
			printf("%s: checksum %016llx, %llu operations\n", argv[1],
			       (unsigned long long)checksum, (unsigned long long)operations);
			return 0;
		}
	}
	fprintf(stderr, "usage: patterns NAME [PERCENT [THREADS]]\n");
	return 2;
}
