/*
 * Linked with survive_library.so. Allocates as early as a program can (a
 * relocation that calls a function, .preinit_array, constructors) and as late
 * (destructors, exit handlers, a stream's buffer).
 */
#include "survive.h"

int survive_library_was_watched(void);

static unsigned char *from_preinit, *from_constructor;

static int one(void) { return 1; }

/* Runs while the loader relocates: nothing of the program is initialised. */
static int (*resolve_one(void))(void)
{
	return one;
}

int resolved(void) __attribute__((ifunc("resolve_one")));

static void preinit(void)
{
	from_preinit = calloc(1, 5000);
	mark(from_preinit, 5000, 3);
	live_a_little(1);
}

__attribute__((section(".preinit_array"), used)) static void (*const entry)(void) = preinit;

__attribute__((constructor(101))) static void constructor(void)
{
	from_constructor = realloc(malloc(10), 200000);
	mark(from_constructor, 200000, 4);
}

static void handler(void)
{
	live_a_little(2);
	puts("handler ran");
}

__attribute__((destructor)) static void destructor(void)
{
	check(from_constructor, 200000, 4);
	free(from_constructor);
	live_a_little(3);
	puts("program's destructor ran");
	fflush(stdout);
}

int main(void)
{
	atexit(handler);
	check(from_preinit, 5000, 3);
	free(from_preinit);
	live_a_little(resolved());
	printf("watched before the library's constructor: %d\n", survive_library_was_watched());
	return 0;
}
