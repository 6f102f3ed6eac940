/* Double free. FIXED: the pointer is cleared. LOOKALIKE: free, malloc, free. */
#include "memory.h"

int main(void)
{
	char *block = hide(malloc(48));

	free(block);
#if defined BAD
	block = hidden;
#elif defined FIXED
	block = NULL;
#else
	block = hide(malloc(48));
#endif
	free(block);
	return STATUS;
}
