/*
 * A write past the end. BAD 1: one byte. BAD 2: the underflow. FIXED: the last
 * byte. LOOKALIKE: every byte that malloc_usable_size admits.
 */
#include "memory.h"

int main(void)
{
	char *block = hide(malloc(100));

#if defined BAD && BAD == 1
	hidden[100] = 'x';
#elif defined BAD
	hidden[-1] = 'x';
#elif defined FIXED
	hidden[99] = 'x';
#else
	memset(hidden, 'x', malloc_usable_size(block));
#endif
	free(block);
	return STATUS;
}
