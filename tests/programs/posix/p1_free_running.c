/*
 * P1: asynchronous delete, then free. The handler still uses its data.
 * BAD 1: it reads. BAD 2: it writes.
 * FIXED: the handler's completion frees; a signal's handler must not, so there the
 * thread that takes the signal is ended first, then the timer deleted.
 * LOOKALIKE 1: the deleter waits for "done", then deletes and frees. 2: it deletes
 * under the running handler, waits for "done", then frees. 3: as 2, with a mutex
 * and a condition variable.
 */
#include "timers.h"

struct device {
	int registers[16];
	int done;
	pthread_mutex_t lock;
	pthread_cond_t finished;
};

static sem_t entered, go, done;
static volatile int sink;

static HANDLER(handler)
{
	struct device *device = HANDLER_DATA;

	handler_starts();
	sink = device->registers[0];
	chance_open(&entered);
	chance_pass(&go);
#if defined BAD && BAD == 2
	device->registers[8] = 1;
#else
	sink = device->registers[3];
#endif
#if defined FIXED && defined API_THREAD
	free(device);
#elif defined LOOKALIKE && LOOKALIKE == 3
	pthread_mutex_lock(&device->lock);
	device->done = 1;
	pthread_cond_signal(&device->finished);
	pthread_mutex_unlock(&device->lock);
	return;
#endif
	say_over();
	gate_open(&done);
}

int main(void)
{
	struct device *device = calloc(1, sizeof *device);
	timer_t timer;

	chance_init(&entered);
	chance_init(&go);
	gate_init(&done);
	timer = make_timer(handler, device);
	pthread_mutex_init(&device->lock, NULL);
	pthread_cond_init(&device->finished, NULL);
	start(timer, 0);
	chance_pass_asleep(&entered);
#if defined BAD
	cancel(timer);
	free(device);
	chance_open(&go);
	look_until_over();
	return 0;
#elif defined FIXED && defined API_THREAD
	cancel(timer);
	chance_open(&go);
	gate_pass(&done);
#elif defined FIXED
	chance_open(&go);
	end_receivers();
	cancel(timer);
	free(device);
#elif LOOKALIKE == 1
	chance_open(&go);
	gate_pass(&done);
	cancel(timer);
	free(device);
#elif LOOKALIKE == 2
	cancel(timer);
	chance_open(&go);
	gate_pass(&done);
	free(device);
#else
	cancel(timer);
	chance_open(&go);
	pthread_mutex_lock(&device->lock);
	while (!device->done)
		pthread_cond_wait(&device->finished, &device->lock);
	pthread_mutex_unlock(&device->lock);
	free(device);
#endif
	settle_all();
	return 0;
}
