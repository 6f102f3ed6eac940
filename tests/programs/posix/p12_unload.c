/*
 * P12: the handler's text goes: p12_unload LIBRARY
 *
 * BAD 1: dlclose with the timer armed. BAD 2: with its handler running. Without
 * deadwalk both die of it.
 * FIXED: delete, and wait for the handler, before dlclose. LOOKALIKE 1: another
 * object is closed. 2: the library was opened twice, and stays. 3: its destructor
 * deletes the timer.
 */
#include "p12_module.h"

#include <dlfcn.h>

enum { DUE_MS = 100, PAST_DUE_MS = 300 };

static void *load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		fprintf(stderr, "p12_unload: %s\n", dlerror());
		exit(1);
	}
	return library;
}

static void *symbol(void *library, const char *name)
{
	void *symbol = dlsym(library, name);

	if (!symbol)
		exit(1);
	return symbol;
}

/* Time enough for an expiry that should not come, or must not be called. */
static inline void let_it_be_due(void)
{
	struct timespec until_past_due = { .tv_nsec = PAST_DUE_MS * NS_PER_MS };

	nanosleep(&until_past_due, NULL);
}

int main(int argc, char **argv)
{
	struct module_gates gates = { 0 };
	handler_fn *tick;
	void *library, *other;
	timer_t timer;

	if (argc < 2)
		return 2;
	gate_init(&gates.entered);
	gate_init(&gates.go);
	gate_init(&gates.done);
	library = load(argv[1]);
	other = load("libm.so.6");
	*(void **)&tick = symbol(library, "module_tick");
	*(struct module_gates **)symbol(library, "module_gates") = &gates;
	timer = make_timer(tick, NULL);
	*(timer_t *)symbol(library, "module_timer") = timer;
#if defined BAD && BAD == 1
	start(timer, DUE_MS);
	dlclose(library);
	let_it_be_due();
	cancel(timer);
#elif defined BAD
	start(timer, 0);
	gate_pass(&gates.entered);
	cancel(timer);
	dlclose(library);
	gate_open(&gates.go);
	gate_pass(&gates.done);
#elif defined LOOKALIKE && LOOKALIKE == 3
	start(timer, DUE_MS);
	dlclose(library);
	let_it_be_due();
#else
#if defined LOOKALIKE && LOOKALIKE == 2
	load(argv[1]);
	dlclose(library);
#elif defined LOOKALIKE
	dlclose(other);
#endif
	start(timer, 0);
	gate_pass(&gates.entered);
	gate_open(&gates.go);
	gate_pass(&gates.done);
	cancel(timer);
#ifdef API_THREAD
	wait_thread_gone(gates.tid);
#endif
	end_receivers();
	dlclose(library);
#endif
	(void)other;
#ifdef API_THREAD
	if (gates.tid)
		wait_thread_gone(gates.tid);
#endif
	end_receivers();
	return 0;
}
