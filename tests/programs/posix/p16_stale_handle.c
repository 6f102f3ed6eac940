/*
 * P16: a handle that was deleted is deleted again. glibc keeps a SIGEV_THREAD
 * timer in a block of the heap, so a new timer may have got the same handle; the
 * kernel refuses the stale number of any other.
 * FIXED: the handle is cleared. LOOKALIKE 1: a live handle is deleted by another
 * thread. 2: handles given out again are deleted, each once.
 */
#include "timers.h"

enum { ROUNDS = 100 };

static HANDLER(handler)
{
}

#if defined LOOKALIKE && LOOKALIKE == 1
static void *deleter(void *timer)
{
	cancel((timer_t)timer);
	return NULL;
}
#endif

int main(void)
{
	timer_t timer = make_timer(handler, NULL);

	start(timer, HOUR_MS);
#if defined BAD
	cancel(timer);
	cancel(timer);
#elif defined FIXED
	int is_live = 1;

	cancel(timer);
	is_live = 0;
	if (is_live)
		cancel(timer);
#elif LOOKALIKE == 1
	pthread_t other;

	pthread_create(&other, NULL, deleter, timer);
	pthread_join(other, NULL);
#else
	for (int i = 0; i < ROUNDS; i++) {
		cancel(timer);
		end_receivers();
		timer = make_timer(handler, NULL);
	}
	cancel(timer);
#endif
	end_receivers();
	return 0;
}
