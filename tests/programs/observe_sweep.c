/*
 * Damage that only a sweep can find while the program runs: it ends without any
 * exit handler, and frees nothing that is damaged.
 *   plain | threads (others are busy) | fork (in the parent, then in its child)
 *   clean: the look-alike, up to the last byte; ends the same way
 */
#include "gates.h"
#include "memory.h"
#include <deadwalk/deadwalk.h>
#include <sys/wait.h>

/* So long a sweep is waited for, ms. */
#define PATIENCE_MS 60000

static atomic_int done;

static void wait_for_retired(unsigned long long count)
{
	const struct timespec ms = { .tv_nsec = NS_PER_MS };

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (deadwalk_counter("heap.retired_slots") >= count)
			return;
		nanosleep(&ms, NULL);
	}
	fprintf(stderr, "no sweep found it\n");
	_Exit(1);
}

/* A freed block that is not the newest one of its quarantine. */
static char *freed_block(void)
{
	char *block = malloc(2000), *newer = malloc(2000);

	free(hide(block));
	free(hide(newer));
	return block;
}

/*
 * When the second write after free is found, a whole round was made since the
 * first: the live block was looked at too.
 */
static void damage(int clean)
{
	unsigned long long retired = deadwalk_counter("heap.retired_slots");
	char *live = hide(malloc(100));

	live[clean ? 99 : 100] = 'x';
	for (int i = 1; i <= 2; i++) {
		freed_block()[10] = 'x';
		wait_for_retired(retired + i);
	}
}

static void *busy(void *unused)
{
	char *blocks[64] = { 0 };

	for (unsigned i = 0; !atomic_load(&done); i++) {
		char **block = &blocks[i * 7 % 64];
		size_t size = 1 + i * 31 % 700;

		*block = realloc(*block, size);
		memset(*block, 'y', size);
		if (i % 3 == 0) {
			free(*block);
			*block = NULL;
		}
	}
	return unused;
}

static void leave(void)
{
	syscall(SYS_exit_group, STATUS);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	pthread_t threads[3];
	pid_t child;
	int status = 0;

	if (!strcmp(mode, "threads"))
		for (int i = 0; i < 3; i++)
			if (pthread_create(&threads[i], NULL, busy, NULL))
				die("pthread_create");
	damage(!strcmp(mode, "clean"));
	if (!strcmp(mode, "fork")) {
		if ((child = fork()) == 0) {
			damage(0);
			leave();
		}
		if (child < 0 || waitpid(child, &status, 0) != child || WEXITSTATUS(status) != STATUS)
			return 1;
	}
	if (!strcmp(mode, "threads")) {
		atomic_store(&done, 1);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
	}
	leave();
}
