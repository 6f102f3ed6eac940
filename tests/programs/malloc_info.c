// Asks the heap about itself. Prints what the program may rely on, as yes or no.
#include <errno.h>
#include <malloc.h>
#include <mcheck.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 1 << 20, MANY = 12, HUGE = 100 << 20 };

#define SAY(fact) printf("%-44s %s\n", #fact, (fact) ? "yes" : "NO")

// The compiler drops blocks that it sees nobody use.
static void *volatile kept;

static void *get(size_t size)
{
	return kept = malloc(size);
}

static long resident(void)
{
	long size = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2)
		abort();
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

static size_t total(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void numbers(void)
{
	struct mallinfo2 before = mallinfo2(), info;
	char *block = get(LARGE), *huge = get(HUGE);

	memset(block, 1, LARGE);
	info = mallinfo2();
	SAY(total() >= before.uordblks + before.hblkhd + LARGE + HUGE);
	SAY(info.hblks >= 1 && info.hblkhd >= HUGE);
	SAY(info.arena == info.uordblks + info.fordblks);
	SAY(info.usmblks == 0);
	free(huge);
	SAY(mallinfo2().hblkhd < before.hblkhd + HUGE);
	free(block);
	SAY(total() < before.uordblks + before.hblkhd + LARGE / 2);
}

static void *thread(void *arg)
{
	void **blocks = arg;

	for (int i = 0; i < 1000; i++)
		blocks[i] = get(1000);
	return NULL;
}

static void threads(void)
{
	static void *blocks[1000];
	size_t before = total();
	pthread_t id;

	pthread_create(&id, NULL, thread, blocks);
	pthread_join(id, NULL);
	SAY(total() >= before + 1000 * 1000);
	for (int i = 0; i < 1000; i++)
		free(blocks[i]);
	SAY(total() < before + 200 * 1000);
}

static void narrow(void)
{
	char *blocks[30];
	struct mallinfo info;

	for (int i = 0; i < 30; i++)
		blocks[i] = get(HUGE);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	info = mallinfo();
	SAY(info.hblks == 30);
	SAY(sizeof info == 10 * sizeof(int) && sizeof(struct mallinfo2) == 10 * sizeof(size_t));
	if (getenv("WATCHED"))
		SAY(info.hblkhd == 0x7fffffff);
	for (int i = 0; i < 30; i++)
		free(blocks[i]);
}

static void trim(void)
{
	char *blocks[MANY];
	long before;

	for (int i = 0; i < MANY; i++)
		memset(blocks[i] = get(LARGE), 1, LARGE);
	for (int i = 0; i < MANY; i++)
		free(blocks[i]);
	before = resident();
	if (getenv("WATCHED")) {
		// libc gave all that back as it was freed.
		SAY(mallinfo2().keepcost >= 2 * LARGE);
		SAY(malloc_trim(0) == 1);
		SAY(resident() < before - LARGE);
		SAY(mallinfo2().keepcost == 0);
		SAY(malloc_trim(0) == 0);
	}
	memset(blocks[0] = get(LARGE), 1, LARGE);
	SAY(blocks[0][LARGE - 1] == 1);
	free(blocks[0]);
}

static void info(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len), *xml = fopen("/dev/full", "w");

	errno = 0;
	SAY(malloc_info(0, file) == 0);
	SAY(malloc_info(1, file) == EINVAL);
	SAY(errno == 0);
	fclose(file);
	SAY(strstr(text, "<malloc version=\"1\">\n") == text);
	SAY(strstr(text, "</malloc>\n") == text + len - strlen("</malloc>\n"));
	if (getenv("XML") && (file = fopen(getenv("XML"), "w"))) {
		fputs(text, file);
		fclose(file);
	}
	free(text);
	setvbuf(xml, NULL, _IONBF, 0);
	SAY(malloc_info(0, xml) == 0);
	fclose(xml);
}

static void options(void)
{
	static const int keys[] = {
		M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX,
		M_CHECK_ACTION, M_PERTURB, M_ARENA_TEST, M_ARENA_MAX, 0, 99, -99,
	};
	static const int values[] = { 0, 1, 64, 1 << 30, -5 };

	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
		for (size_t v = 0; v < sizeof values / sizeof *values; v++)
			printf("%d", mallopt(keys[k], values[v]));
	puts("");
	// M_PERTURB was among them.
	char *block = calloc(1, 100);
	SAY(block[0] == 0 && block[99] == 0);
	free(block);
}

static void debuggers(void)
{
	void *block = get(10);

	printf("mcheck %d, mprobe %d\n", mcheck(NULL), mprobe(block));
	mcheck_check_all();
	mtrace();
	muntrace();
	free(block);
}

static void child(void)
{
	char *block = get(LARGE);
	size_t before = total();
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		free(block);
		_exit(total() < before && total() > before / 1000 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	SAY(status == 0);
	free(block);
}

int main(void)
{
	void *blocks[100];

	for (int i = 0; i < 100; i++)
		blocks[i] = get(4000);
	numbers();
	threads();
	narrow();
	trim();
	info();
	debuggers();
	options();
	child();
	malloc_stats();
	for (int i = 0; i < 100; i++)
		free(blocks[i]);
	return 0;
}
