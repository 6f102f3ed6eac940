/* Says whether it was started as a set-id program. */
#include <stdio.h>
#include <sys/auxv.h>

int main(void)
{
	printf("secure: %lu\n", getauxval(AT_SECURE));
	return 7;
}
