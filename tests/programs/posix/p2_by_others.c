/*
 * P2 again: what is released under the handler by a thread that is neither the handler's
 * nor the deleter's. 1: a descriptor. 2: a semaphore. And 3: a condition variable, which
 * the deleter destroys.
 * BAD: the handler then uses it. FIXED: only when the handler is done. LOOKALIKE 1: the
 * third thread closes another descriptor. 2: the handler has opened the number again.
 * 3: the deleter has put another descriptor in its place. 4: the condition variable was
 * made anew. 5: the handler closes every number. 6: released before the delete.
 */
#include "timers.h"

enum { NUMBERS = 64 };

static sem_t entered, go, done, device_sem;
static __attribute__((unused)) pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int device, other;

static int open_device(void)
{
	int number = open("/dev/null", O_WRONLY);

	if (number < 0)
		die("/dev/null");
	return number;
}

static __attribute__((unused)) void use(void)
{
	int error = errno; /* a signal's handler leaves it as it was */

#if (defined BAD && BAD == 2) || (defined FIXED && FIXED == 2)
	sem_post(&device_sem);
#elif (defined BAD && BAD == 3) || (defined FIXED && FIXED == 3) || \
	(defined LOOKALIKE && LOOKALIKE == 4)
	pthread_cond_signal(&changed);
#else
#if defined LOOKALIKE && LOOKALIKE == 5
	for (int number = device; number < NUMBERS; number++)
		close(number);
#else
#if defined LOOKALIKE && LOOKALIKE == 2
	if (open_device() != device)
		die("another number");
#endif
	if (write(device, "x", 1) != 1 && errno != EBADF)
		die("write");
#endif
#endif
	errno = error;
}

static HANDLER(handler)
{
	handler_starts();
	chance_open(&entered);
	chance_pass(&go);
#if !defined LOOKALIKE || LOOKALIKE != 6
	use();
#endif
	gate_open(&done);
}

static __attribute__((unused)) void *release(void *unused)
{
	(void)unused;
#if (defined BAD && BAD == 2) || (defined FIXED && FIXED == 2)
	sem_destroy(&device_sem);
#elif defined LOOKALIKE && LOOKALIKE == 1
	close(other);
#else
	close(device);
#endif
	return NULL;
}

/* By the third thread, or the deleter itself. */
static void release_it(void)
{
#if (defined BAD && BAD == 3) || (defined FIXED && FIXED == 3)
	pthread_cond_destroy(&changed);
#elif defined LOOKALIKE && LOOKALIKE == 4
	pthread_cond_destroy(&changed);
	pthread_cond_init(&changed, NULL);
#elif defined LOOKALIKE && LOOKALIKE == 3
	dup2(other, device);
#else
	pthread_t thread;

	if (pthread_create(&thread, NULL, release, NULL) || pthread_join(thread, NULL))
		die("thread");
#endif
}

int main(void)
{
	timer_t timer;

	chance_init(&entered);
	chance_init(&go);
	gate_init(&done);
	gate_init(&device_sem);
	timer = make_timer(handler, NULL);
	other = open_device();
	device = open_device();
	start(timer, 0);
	chance_pass_asleep(&entered);
#if defined FIXED
	chance_open(&go);
	gate_pass(&done);
	cancel(timer);
	release_it();
#else
#if defined LOOKALIKE && LOOKALIKE == 6
	release_it();
#endif
	cancel(timer);
#if !defined LOOKALIKE || LOOKALIKE != 6
	release_it();
#endif
	chance_open(&go);
	gate_pass(&done);
#endif
	settle_all();
	return 0;
}
