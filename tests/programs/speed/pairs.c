/*
 * pairs SIZE COUNT: so many pairs of malloc and free, one block at a time. The
 * first byte is written, and nothing else is done.
 */
#include <stdlib.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	size_t size = (size_t)atol(argv[1]);
	for (long left = atol(argv[2]); left > 0; left--) {
		volatile char *block = malloc(size);
		if (!block)
			return 1;
		*block = 1;
		free((void *)block);
	}
	return 0;
}
