/*
 * Frees of what is no live block. The clean twins free as often, but right.
 */
#include "matrix.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

OUT_OF_LINE static void free_wrongly(void *block)
{
	free(block); /* freed wrongly here */
}

static void double_at_once(void)
{
	char *block = allocate_block(size);

	free_block(block);
	if (!bad)
		block = allocate_block(size);
	free_wrongly(block);
	find_later(bad ? block : NULL);
}

/* LEN times too often. */
static void double_repeated(void)
{
	char *block = allocate_block(size);

	free_block(block);
	for (size_t i = 0; bad && i < len; i++)
		free_wrongly(block);
}

static void double_after_others(void)
{
	char *block = allocate_block(size);
	char *others[8];

	for (int i = 0; i < 8; i++)
		others[i] = allocate_block(i % 2 ? size : 48);
	free_block(block);
	for (int i = 0; i < 8; i++)
		free(others[i]);
	if (!bad)
		block = allocate_block(size);
	free_wrongly(block);
}

/* So many frees of the class in between that it left every quarantine. */
static void double_after_quarantine(void)
{
	char **blocks = calloc(plenty(), sizeof *blocks);

	for (int i = 0; i < plenty(); i++)
		blocks[i] = allocate_block(size);
	for (int i = 0; i < plenty(); i++)
		free_block(blocks[i]);
	if (!bad)
		blocks[0] = allocate_block(size);
	free_wrongly(blocks[0]);
	free(blocks);
}

static void double_interleaved(void)
{
	char *a = allocate_block(size), *b = allocate_block(size);

	free_block(a);
	free_block(b);
	if (!bad)
		a = allocate_block(size);
	free_wrongly(a);
}

struct racer {
	char *block;
	char **spare;
};

static atomic_int ready;

static void free_spare(char **spare)
{
	for (int i = 0; i < plenty(); i++)
		free(spare[i]);
}

/* Both threads free at the same instant, as nearly as can be had. */
static void race(struct racer *racer)
{
	atomic_fetch_add(&ready, 1);
	while (atomic_load(&ready) < 2)
		;
	free_block(racer->block);
}

static void *free_in_thread(void *argument)
{
	struct racer *racer = argument;

	race(racer);
	free_spare(racer->spare);
	return NULL;
}

static char **spare_blocks(void)
{
	char **spare = calloc(plenty(), sizeof *spare);

	for (int i = 0; i < plenty(); i++)
		spare[i] = malloc(size);
	return spare;
}

/*
 * Where both frees succeed, it is found when the second copy leaves the
 * quarantine: each thread frees plenty afterwards, one after the other.
 */
static void double_from_two_threads(void)
{
	char *block = allocate_block(size);
	struct racer mine = { block, spare_blocks() };
	struct racer other = { bad ? block : allocate_block(size), spare_blocks() };
	pthread_t thread;

	if (pthread_create(&thread, NULL, free_in_thread, &other))
		exit(1);
	race(&mine);
	pthread_join(thread, NULL);
	free_spare(mine.spare);
	free(mine.spare);
	free(other.spare);
}

static void realloc_freed(void)
{
	char *block = allocate_block(size);

	if (bad)
		free_block(block);
	block = move_block(block, size * 2);
	if (!bad)
		free_block(block);
}

static void moved_away(void)
{
	char *block = allocate_block(size), *now = block;
	size_t more = size;

	allocate_block(size); /* in the way of growing in place */
	while (now == block && more < size << 10)
		now = move_block(now, more *= 4);
	if (now == block)
		exit(SKIPPED);
	free_wrongly(bad ? block : now);
}

static void interior(void)
{
	char *block = allocate_block(size);

	free_wrongly(bad ? hide(block + size / 2) : block);
}

static void unaligned(void)
{
	char *block = allocate_block(size);

	free_wrongly(bad ? hide(block + 1) : block);
}

/* Alignment on the stack is the natural one: only the place is wrong. */
static void on_stack(void)
{
	char block[64] __attribute__((aligned(16)));

	store(block, sizeof block, 1);
	free_wrongly(hide(bad ? block + 16 : strdup("text")));
}

static void in_static(void)
{
	static char block[64] __attribute__((aligned(16))) = { 1 };

	free_wrongly(hide(bad ? block + 16 : calloc(1, sizeof block)));
}

/* An address among the heap's own that was never given out. */
static void never_allocated(void)
{
	char *block = allocate_block(size);

	free_wrongly(bad ? hide(block + ((size_t)1 << 30)) : NULL);
	free_block(block);
}

static void mapped(void)
{
	enum { BYTES = 1 << 20 };
	char *map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	store(map, BYTES, 0);
	if (bad)
		free_wrongly(hide(map + BYTES / 2));
	munmap(map, BYTES);
}

/* A block of libc's own malloc, as an object has it that binds to libc alone. */
static void foreign(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	void *(*own_malloc)(size_t) = libc ? (void *(*)(size_t))dlsym(libc, "malloc") : NULL;
	char *block;

	if (!own_malloc)
		exit(SKIPPED);
	block = own_malloc(size);
	store(block, size, 0);
	free_wrongly(hide(bad ? block + size / 2 : block));
}

int main(int argc, char **argv)
{
	static const struct matrix_case cases[] = {
		{ "double_at_once", double_at_once },
		{ "double_repeated", double_repeated },
		{ "double_after_others", double_after_others },
		{ "double_after_quarantine", double_after_quarantine },
		{ "double_interleaved", double_interleaved },
		{ "double_from_two_threads", double_from_two_threads },
		{ "realloc_freed", realloc_freed },
		{ "moved_away", moved_away },
		{ "interior", interior },
		{ "unaligned", unaligned },
		{ "stack", on_stack },
		{ "static", in_static },
		{ "never_allocated", never_allocated },
		{ "mapped", mapped },
		{ "foreign", foreign },
		{ 0 },
	};

	return matrix(argc, argv, cases);
}
