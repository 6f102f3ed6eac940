/*
 * What heal=on makes harmless: heal (data|twice|moved|own|handles) [SIZE]
 * data: main deletes the timer and frees its data, of SIZE bytes, under the handler.
 * twice: ... and frees it again. moved: ... or has it moved by realloc. own: the
 * handler frees it. Each prints "intact: N", whether the handler still found its data.
 * handles: calls on a deleted timer, "refused: N".
 */
#include "gates.h"
#include <poll.h>

static sem_t entered, go, done;
static const char *mode;
static size_t size = 64;
static int intact;

static void handler(union sigval value)
{
	unsigned char *volatile data = value.sival_ptr;

	handler_starts();
	gate_open(&entered);
	gate_pass(&go);
	/* By this it goes on for sure: it may not have been asleep in the gate. */
	poll(NULL, 0, 0);
	intact = data[0] == 'a' && data[size - 1] == 'z';
	/* In freed memory this would be a write to another's block. */
	data[size - 1] = 'y';
	if (!strcmp(mode, "own"))
		free(data);
	gate_open(&done);
}

static int refused(int result)
{
	return result == -1 && errno == EINVAL;
}

static int use_deleted(timer_t timer)
{
	struct itimerspec when = { .it_value.tv_sec = 3600 };
	int count = 0;

	timer_delete(timer);
	count += refused(timer_gettime(timer, &when));
	count += refused(timer_settime(timer, 0, &when, NULL));
	count += refused(timer_getoverrun(timer));
	count += refused(timer_delete(timer));
	printf("refused: %d\n", count);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned char *volatile data, *volatile again;
	timer_t timer;

	if (argc < 2)
		return 2;
	mode = argv[1];
	if (argc > 2)
		size = strtoul(argv[2], NULL, 0);
	data = malloc(size);
	again = data;
	data[0] = 'a';
	data[size - 1] = 'z';
	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	timer = new_timer(handler, data);
	if (!strcmp(mode, "handles"))
		return use_deleted(timer);
	arm(timer, 0);
	gate_pass(&entered);
	timer_delete(timer);
	if (!strcmp(mode, "moved"))
		data = realloc(data, size * 3);
	else if (strcmp(mode, "own"))
		free(data);
	if (!strcmp(mode, "twice"))
		free(again);
	gate_open(&go);
	gate_pass(&done);
	settle();
	printf("intact: %d\n", intact);
	if (!strcmp(mode, "moved"))
		free(data);
	/* Its block has gone back, so it may come again. */
	for (int i = 0; i < 3; i++)
		free(malloc(size));
	return 0;
}
