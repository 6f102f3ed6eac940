/*
 * What the harnesses share: [SEED] as their argument, and random phases.
 *
 * They are compiled with -DHZ=1 and run with hz=1000: a second of the protocol
 * takes a millisecond, and nothing else of the kernel's file is different.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <stdlib.h>

static unsigned int harness_seed = 1;

static inline void harness_start(int argc, char **argv)
{
	if (argc > 1)
		harness_seed = (unsigned int)strtoul(argv[1], NULL, 0);
}

/* From 0 on, below `end`. */
static inline unsigned int random_below(unsigned int end)
{
	harness_seed = harness_seed * 1103515245 + 12345;
	return harness_seed / 65536 % end;
}

/* Up to four ticks: in between, timers expire and are armed again. */
static inline void random_phase(void)
{
	unsigned int us = random_below(4000);

	usleep_range(us, us + 1);
}

#endif
