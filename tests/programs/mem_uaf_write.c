/*
 * A write after free. BAD 1: found when the block comes round again. BAD 2: the
 * process ends first. FIXED: written before. LOOKALIKE: a new owner writes.
 */
#include "memory.h"

int main(void)
{
	char *block = hide(malloc(80));

#if defined BAD
	free(block);
	hidden[24] = 'x';
#if BAD == 1
	churn(80);
#endif
#elif defined FIXED
	hidden[24] = 'x';
	free(block);
	churn(80);
#else
	free(block);
	block = hide(malloc(80));
	hidden[24] = 'x';
	free(block);
	churn(80);
#endif
	return STATUS;
}
