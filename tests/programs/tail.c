/*
 * The verdict at leave: tail (legal|exits|word|asleep|busy) ROUNDS [pinned]
 *
 * legal: the handler posts "done" as its last act; the waiter deletes and frees.
 *        The handler may still be in its last instructions: that is no bug.
 * exits: the same, but that the handler ends by pthread_exit().
 * word:  the deleter waits for "done" behind its delete; the handler then goes on with
 *        something else.
 * asleep: the handler waits at a gate that is opened after the free, then reads.
 * busy:  the handler never sleeps: it spins until the free, then computes on.
 */
#include "gates.h"

enum { BUSY_READS = 3000000 }; /* some milliseconds, well over what noise costs */

static sem_t entered, go, done, over;
static atomic_int is_freed;
static enum { LEGAL, EXITS, WORD, ASLEEP, BUSY } shape;
static volatile int sink;

static void handler(union sigval value)
{
	volatile int *data = value.sival_ptr;

	handler_starts();
	if (shape == ASLEEP || shape == WORD) {
		gate_open(&entered);
		gate_pass(&go);
	} else if (shape == BUSY) {
		gate_open(&entered);
		while (!atomic_load(&is_freed))
			;
		for (int i = 0; i < BUSY_READS; i++)
			sink += data[i & 15];
	}
	sink += data[3];
	gate_open(&done);
	if (shape == EXITS)
		pthread_exit(NULL);
	if (shape == WORD) {
		gate_pass(&go);
		gate_open(&over);
	}
}

static void round_of(void)
{
	int *data = calloc(16, sizeof *data);
	timer_t timer = new_timer(handler, data);

	atomic_store(&is_freed, 0);
	arm(timer, 0);
	if (shape == LEGAL || shape == EXITS) {
		gate_pass(&done);
		timer_delete(timer);
		free(data);
		return;
	}
	gate_pass(&entered);
	if (shape == ASLEEP)
		wait_thread_asleep(handler_thread);
	timer_delete(timer);
	if (shape == WORD) {
		gate_open(&go);
		gate_pass(&done);
		free(data);
		gate_open(&go);
		gate_pass(&over);
		return;
	}
	free(data);
	atomic_store(&is_freed, 1);
	if (shape == ASLEEP)
		gate_open(&go);
	gate_pass(&done);
}

static void pin_to_one_cpu(void)
{
	cpu_set_t set;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof set, &set))
		die("sched_getaffinity");
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set))
		die("sched_setaffinity");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	shape = !strcmp(argv[1], "legal")  ? LEGAL
		: !strcmp(argv[1], "exits") ? EXITS
		: !strcmp(argv[1], "word")  ? WORD
		: !strcmp(argv[1], "busy")  ? BUSY
					    : ASLEEP;
	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	gate_init(&over);
	if (argc > 3)
		pin_to_one_cpu();
	for (int i = atoi(argv[2]); i > 0; i--)
		round_of();
	settle();
	return 0;
}
