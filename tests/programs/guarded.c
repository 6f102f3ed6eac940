/*
 * Reads what it has freed, without any timer: only a page that traps shows that.
 * guarded MODE [COUNT [SIZE]]
 *   bad    a block of each of two functions, freed and then read, COUNT times; those of
 *          the first have SIZE bytes
 *   fixed  read, and freed then
 */
#include "gates.h"

#define NOT_INLINED __attribute__((noinline, noclone))

static size_t node_size = 48;

NOT_INLINED static volatile unsigned char *new_node(void)
{
	unsigned char *node = malloc(node_size);

	memset(node, 1, 48);
	return node;
}

NOT_INLINED static volatile unsigned char *new_name(void)
{
	char *name = strdup("a name that somebody has");

	memset(name, 1, 8);
	return (unsigned char *)name;
}

/* The compiler need not know. */
NOT_INLINED static void give_back(volatile unsigned char *block)
{
	__asm__ volatile("" : "+r"(block));
	free((void *)block);
}

int main(int argc, char **argv)
{
	int is_bad = argc > 1 && !strcmp(argv[1], "bad");
	int count = argc > 2 ? atoi(argv[2]) : 1;
	unsigned long sum = 0;

	if (argc > 3)
		node_size = strtoul(argv[3], NULL, 0);
	for (int at = 0; at < count; at++) {
		volatile unsigned char *node = new_node(), *name = new_name();

		if (!is_bad) {
			sum += node[5];
			sum += name[5];
		}
		give_back(node);
		give_back(name);
		if (is_bad) {
			sum += node[5]; /* a node that is gone */
			sum += name[5]; /* a name that is gone */
		}
	}
	if (!is_bad && sum != 2ul * count)
		return 1;
	return 3;
}
