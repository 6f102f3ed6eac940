/*
 * What a plugin with a timer and the program that loads it share. The plugin's
 * handler tells where it is by gates of the program's, which stay when it goes.
 */
#ifndef UNLOAD_H
#define UNLOAD_H
#include <dlfcn.h>
#include <semaphore.h>

struct shared {
	sem_t entered;
	sem_t go;
	sem_t done;
	/* What the handler is to close itself, or null. */
	void *own;
};

typedef void plugin_start(struct shared *shared, long ms);
typedef void plugin_stop(void);
#endif
