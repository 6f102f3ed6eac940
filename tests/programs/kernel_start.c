/*
 * What a program that includes the header calls before main, with a library
 * that has deadwalk_timer_start_hz, and with an older one. Linked with nothing
 * of ours.
 */
#define HZ 250
#include <deadwalk/jiffies.h>
#include <stdio.h>

volatile unsigned long jiffies;
static unsigned int started;

void deadwalk_timer_start(void)
{
	started = 1;
}

#ifndef OLDER
void deadwalk_timer_start_hz(unsigned int hz)
{
	started = hz;
}
#endif

int main(void)
{
	printf("started %u\n", started);
	return 0;
}
