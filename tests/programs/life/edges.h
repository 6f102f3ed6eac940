/*
 * Timers made before main and after it, by constructors and destructors; included by
 * a program and by a library of its own, which both print what they did.
 */
#ifndef EDGES_H
#define EDGES_H
#include "life.h"

static struct timer early;

__attribute__((constructor)) static void construct(int argc, char **argv)
{
	life_begin(argc, argv);
	early = make(NULL);
	arm_in(&early, HOUR_MS);
	if (kind == ITIMER)
		disarm(&early);
	live(1);
	/* A library's constructor comes before deadwalk's: not watched. */
	if (!IS_WATCHED)
		*counts = (struct counts){ 0 };
}

__attribute__((destructor)) static void destruct(void)
{
	struct counts before;

	handle_signals(0);
	live(1);
	before = *counts;
	unmake(&early);
	if (!IS_WATCHED)
		*counts = before;
	life_end();
}
#endif
