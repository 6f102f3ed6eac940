/* Prints a line for each SIGINT; the second ends it with status 5. */
#include "gates.h"

static void on_interrupt(int signal)
{
	static int count;

	(void)signal;
	if (write(1, count ? "second\n" : "first\n", count ? 7 : 6) < 0)
		_exit(1);
	if (count++)
		_exit(5);
}

int main(void)
{
	signal(SIGINT, on_interrupt);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}
