/* Linked with edges_library.so. edges KIND */
#define IS_WATCHED 1
#include "edges.h"

int edges_library_lived(void);

static void at_exit(void)
{
	live(1);
	puts("handler of exit ran");
}

int main(void)
{
	handle_signals(0);
	atexit(at_exit);
	live(1);
	printf("library lived %d\n", edges_library_lived());
	return 0;
}
