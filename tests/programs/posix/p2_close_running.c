/*
 * P2: asynchronous delete, then release of something that is no heap, which the
 * handler then uses. 1: a descriptor. 2: a mapping (the handler dies of it). 3: a
 * mutex. 4: a semaphore.
 * BAD: released under the running handler. FIXED: wait first. LOOKALIKE 1 to 4:
 * another one is released. 5: the descriptor, once the handler has said that it
 * needs it no more, while it runs on.
 */
#include "timers.h"

#include <sys/mman.h>

#if defined BAD
#define RESOURCE BAD
#elif defined FIXED
#define RESOURCE FIXED
#elif LOOKALIKE == 5
#define RESOURCE 1
#else
#define RESOURCE LOOKALIKE
#endif

enum { BYTES = 4096 };

static sem_t entered, go, used, done;

#if RESOURCE == 1
typedef int resource;
#elif RESOURCE == 2
typedef volatile int *resource;
#elif RESOURCE == 3
typedef pthread_mutex_t resource;
#else
typedef sem_t resource;
#endif

static __attribute__((unused)) _Atomic int is_lost;

/* The handler's, and one that nobody needs. */
static resource device, other;

static void acquire(resource *resource)
{
#if RESOURCE == 1
	*resource = open("/dev/null", O_WRONLY);
	if (*resource < 0)
		die("/dev/null");
#elif RESOURCE == 2
	*resource = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*resource == MAP_FAILED)
		die("mmap");
#elif RESOURCE == 3
	pthread_mutex_init(resource, NULL);
#else
	gate_init(resource);
#endif
}

static void use(resource *resource)
{
#if RESOURCE == 1
	int error = errno; /* a signal's handler leaves it as it was */

	is_lost = write(*resource, "x", 1) != 1; /* what the race costs */
	errno = error;
#elif RESOURCE == 2
	**resource += 1;
#elif RESOURCE == 3
	pthread_mutex_lock(resource);
	pthread_mutex_unlock(resource);
#else
	sem_post(resource);
#endif
}

static void release(resource *resource)
{
#if RESOURCE == 1
	close(*resource);
#elif RESOURCE == 2
	munmap((void *)*resource, BYTES);
#elif RESOURCE == 3
	pthread_mutex_destroy(resource);
#else
	sem_destroy(resource);
#endif
}

static HANDLER(handler)
{
	handler_starts();
#if defined LOOKALIKE && LOOKALIKE == 5
	use(&device);
	chance_open(&entered);
	gate_open(&used);
	chance_pass(&go);
#else
	chance_open(&entered);
	chance_pass(&go);
	use(&device);
#endif
	gate_open(&done);
}

int main(void)
{
	timer_t timer;

	chance_init(&entered);
	chance_init(&go);
	gate_init(&used);
	gate_init(&done);
	acquire(&device);
	acquire(&other);
	timer = make_timer(handler, NULL);
	start(timer, 0);
	chance_pass_asleep(&entered);
#if defined FIXED
	chance_open(&go);
	gate_pass(&done);
	cancel(timer);
	release(&device);
#elif defined BAD
	cancel(timer);
	release(&device);
	chance_open(&go);
	gate_pass(&done);
#elif LOOKALIKE == 5
	cancel(timer);
	gate_pass(&used);
	release(&device);
	chance_open(&go);
	gate_pass(&done);
#else
	cancel(timer);
	release(&other);
	chance_open(&go);
	gate_pass(&done);
#endif
	settle_all();
	if (is_lost)
		fprintf(stderr, "p2: a write of the handler's was lost\n");
	return 0;
}
