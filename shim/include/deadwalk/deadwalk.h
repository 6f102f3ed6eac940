/*
 * deadwalk: what a program can ask of the library that watches it.
 *
 * Everything here works without the library too, neither linked nor preloaded:
 * every function then does nothing and returns what is said of it.
 */
#ifndef DEADWALK_DEADWALK_H
#define DEADWALK_DEADWALK_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Declares the wrapper deadwalk_NAME, and deadwalk_find_NAME(), the library's
 * function of that name or null. On x86-64 its address is read from the global
 * offset table: in a program at fixed addresses the linker settles any other
 * weak reference at link time, and a library that is preloaded is missed. The
 * wrapper has an assembler name of its own, or it would be found itself.
 */
#if defined(__x86_64__)
#define DEADWALK_FIND(name, found) \
	__asm__(".weak deadwalk_" #name "\n\t" \
		"{movq deadwalk_" #name "@GOTPCREL(%%rip), %0" \
		"|mov %0, QWORD PTR deadwalk_" #name "@GOTPCREL[rip]}" \
		: "=r"(found))
#else
#define DEADWALK_FIND(name, found) ((found) = deadwalk_weak_##name)
#endif
#define DEADWALK_WRAPPER(type, name, args) \
	extern type deadwalk_weak_##name args __asm__("deadwalk_" #name) __attribute__((weak)); \
	static __inline__ __attribute__((unused)) type(*deadwalk_find_##name(void)) args \
	{ \
		type(*found) args; \
		DEADWALK_FIND(name, found); \
		return found; \
	} \
	static __inline__ type deadwalk_##name args \
		__asm__("deadwalk_if_loaded_" #name) __attribute__((unused)); \
	static __inline__ type deadwalk_##name args

/* Lets `ticks` jiffies pass, and runs the handlers that expire on this thread;
 * returns how many ran. The first call, also with 0, switches to virtual time
 * for good: from then on only this moves the clock. Without the library: 0. */
DEADWALK_WRAPPER(unsigned long, timer_advance, (unsigned long ticks))
{
	return deadwalk_find_timer_advance() ? deadwalk_find_timer_advance()(ticks) : 0;
}

/* The text from `lo` up to `hi` is about to go: makes a finding of every timer
 * whose handler lies there and runs or is pending; returns how many. Without
 * the library: 0. */
DEADWALK_WRAPPER(int, module_unload, (void *lo, void *hi))
{
	return deadwalk_find_module_unload() ? deadwalk_find_module_unload()(lo, hi) : 0;
}

/* Is `p` in a live block of the heap? Then freeing it is looked at closely from
 * now on. 1 or 0. Without the library: 0. */
DEADWALK_WRAPPER(int, watch, (const void *p))
{
	return deadwalk_find_watch() ? deadwalk_find_watch()(p) : 0;
}

/* A counter by its path below `totals` in the JSON report, such as
 * "del.while_running". Of an unknown one, and without the library: all bits
 * set. */
DEADWALK_WRAPPER(unsigned long long, counter, (const char *path))
{
	return deadwalk_find_counter() ? deadwalk_find_counter()(path) : ~0ULL;
}

/* The library's version, "0.1.0". Without the library: NULL. */
DEADWALK_WRAPPER(const char *, version, (void))
{
	return deadwalk_find_version() ? deadwalk_find_version()() : (const char *)0;
}

/* What deletes do from now on: "async", "sync" or "running". To be called
 * before the first timer. 0; for an unknown name -1. Without the library: -1. */
DEADWALK_WRAPPER(int, set_policy, (const char *name))
{
	return deadwalk_find_set_policy() ? deadwalk_find_set_policy()(name) : -1;
}

/* What deletes do. Without the library: NULL. */
DEADWALK_WRAPPER(const char *, policy, (void))
{
	return deadwalk_find_policy() ? deadwalk_find_policy()() : (const char *)0;
}

#ifdef __cplusplus
}
#endif

#endif
