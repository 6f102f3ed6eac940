/* Writes until its reader is gone: ends by SIGPIPE. */
#include <stdio.h>

int main(void)
{
	for (;;)
		if (puts("a line") < 0)
			return 3; /* SIGPIPE was ignored: not as plain */
}
