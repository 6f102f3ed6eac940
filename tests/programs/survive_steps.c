/*
 * Leaves malloc and free by siglongjmp after each of their instructions in turn:
 * the processor's trap flag raises a SIGTRAP per instruction (and per byte of a
 * string store, so blocks are small). The blocks around the one that was being
 * freed live through it.
 * survive_steps [ROUNDS]
 */
#include "survive.h"
#include <setjmp.h>

enum { AROUND = 8, FREED = AROUND / 2, MOST = 2000, TRAP_FLAG = 0x100 };

static sigjmp_buf back;
static volatile int steps_left;
static unsigned long jumps;

static void stepped(int signal)
{
	(void)signal;
	if (steps_left-- == 0)
		siglongjmp(back, 1);
}

/* The red zone below the stack pointer is the caller's. */
static inline void set_stepping(unsigned long flag)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\t"
			 "andq $~0x100, (%%rsp)\n\t"
			 "orq %0, (%%rsp)\n\t"
			 "popfq\n\t"
			 "lea 128(%%rsp), %%rsp"
			 :
			 : "r"(flag)
			 : "memory", "cc");
}

/* Whether a call was left after so many instructions; it came to its end else. */
static int leaves(int frees, size_t size, int steps)
{
	unsigned char *block[AROUND];
	volatile int was_left = 1;

	for (int at = 0; at < AROUND; at++)
		mark(block[at] = made(malloc(size)), size, at);
	steps_left = steps;
	if (sigsetjmp(back, 1) == 0) {
		set_stepping(TRAP_FLAG);
		if (frees)
			free(block[FREED]);
		else
			free(made(malloc(size)));
		set_stepping(0);
		was_left = 0;
	}
	jumps += was_left;
	for (int at = 0; at < AROUND; at++) {
		if (at == FREED && frees)
			continue;
		check(block[at], size, at);
		free(block[at]);
	}
	return was_left;
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 1, 7, 8, 13, 16, 24, 40, 63, 100, 300 };
	struct sigaction action = { .sa_handler = stepped };
	struct load load = { .seed = 1 };
	int rounds = number(argc, argv, 1, 1);

	sigfillset(&action.sa_mask);
	sigaction(SIGTRAP, &action, NULL);
	for (int round = 0; round < rounds; round++)
		for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++)
			for (int frees = 0; frees < 2; frees++) {
				int steps = 0;

				while (leaves(frees, sizes[at], steps) && steps < MOST)
					steps++;
				load_steps(&load, 200);
			}
	load_end(&load);
	printf("left: %d\n", jumps > 1000);
	return 0;
}
