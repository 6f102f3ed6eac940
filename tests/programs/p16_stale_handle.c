/*
 * P16: a handle that was deleted is deleted again. glibc keeps a SIGEV_THREAD
 * timer in a block of the heap, so a new timer may have got the same handle.
 * FIXED: the handle is cleared. LOOKALIKE 1: a live handle is deleted by another
 * thread. 2: handles given out again are deleted, each once.
 */
#include "gates.h"

static void handler(union sigval value)
{
	(void)value;
}

#if defined LOOKALIKE && LOOKALIKE == 1
static void *deleter(void *timer)
{
	timer_delete((timer_t)timer);
	return NULL;
}
#endif

int main(void)
{
	timer_t timer = new_timer(handler, NULL);

	arm(timer, HOUR_MS);
#if defined BAD
	timer_delete(timer);
	timer_delete(timer);
#elif defined FIXED
	timer_delete(timer);
	timer = NULL;
	if (timer)
		timer_delete(timer);
#elif LOOKALIKE == 1
	pthread_t other;

	pthread_create(&other, NULL, deleter, timer);
	pthread_join(other, NULL);
#else
	for (int i = 0; i < 1000; i++) {
		timer_delete(timer);
		timer = new_timer(handler, NULL);
	}
	timer_delete(timer);
#endif
	return 0;
}
