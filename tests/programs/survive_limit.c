/*
 * Takes memory in blocks of one size until there is none, frees all, and goes on
 * working: blocks of that size again and of other sizes, threads, a child. With
 * "late" it sets the limit itself, after a start without one.
 * survive_limit preset|late as|data MIB BLOCK_BYTES
 */
#include "survive.h"
#include <sys/resource.h>
#include <sys/wait.h>

struct block {
	struct block *next;
};

enum { THREADS = 4 };

/* What realloc refuses stays; the compiler thinks otherwise. */
static char *volatile kept;

static void *in_thread(void *number)
{
	char *block = malloc(100);

	if (!block)
		return NULL;
	free(strcpy(block, "in a thread"));
	return number;
}

static int threads_that_work(void)
{
	pthread_t threads[THREADS];
	int made = 0, well = 0;

	while (made < THREADS && !pthread_create(&threads[made], NULL, in_thread, &made))
		made++;
	for (int at = 0; at < made; at++) {
		void *result;

		pthread_join(threads[at], &result);
		well += result == &made;
	}
	return well;
}

/* MiB given until the first refusal; all are freed again. */
static size_t exhaust(size_t size)
{
	struct block *blocks = NULL, *block;
	size_t given = 0;

	errno = 0;
	while ((block = malloc(size))) {
		block->next = blocks;
		blocks = block;
		((char *)block)[size - 1] = 1;
		given += size;
	}
	int why = errno;
	while ((block = blocks)) {
		blocks = block->next;
		free(block);
	}
	if (why != ENOMEM)
		fail("errno is not ENOMEM");
	return given >> 20;
}

int main(int argc, char **argv)
{
	int is_data = argc > 2 && !strcmp(argv[2], "data");
	size_t bytes = (size_t)number(argc, argv, 3, 256) << 20;
	size_t size = number(argc, argv, 4, 1 << 20);
	struct rlimit limit = { bytes, bytes };
	int status;

	live_a_little(1);
	setlinebuf(stdout);
	if (argc > 1 && !strcmp(argv[1], "late"))
		if (setrlimit(is_data ? RLIMIT_DATA : RLIMIT_AS, &limit))
			die("setrlimit");
	printf("given %zu\n", exhaust(size));
	printf("threads %d\n", threads_that_work());
	printf("again %zu\n", exhaust(size));
	printf("others %zu\n", exhaust(size * 7));
	kept = malloc(size);
	errno = 0;
	char *huge = malloc(bytes * 2);
	printf("huge refused %d %s\n", huge == NULL, strerror(errno));
	errno = 0;
	if (kept && (kept = strcpy(malloc(1000), "text"))) {
		char *refused = realloc(kept, bytes * 2);
		printf("growth refused %d %s, kept %s\n", !refused, strerror(errno), kept);
	}
	pid_t pid = fork();
	if (pid == 0)
		_exit(exhaust(1 << 20) > 10 ? 3 : 4);
	waitpid(pid, &status, 0);
	printf("child %d\n", WEXITSTATUS(status));
	live_a_little(2);
	return 0;
}
