/* A library whose constructor and destructor use timers. */
#define IS_WATCHED 0
#include "edges.h"

int edges_library_lived(void)
{
	return early.fd == -1 || kind == TIMERFD;
}
