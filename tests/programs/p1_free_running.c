/*
 * P1: asynchronous delete, then free. The handler still uses its data.
 * FIXED: the handler's completion frees. LOOKALIKE 1: the deleter waits for
 * "done", then deletes and frees. 2: it deletes under the running handler,
 * waits for "done", then frees. 3: as 2, with a mutex and a condition variable.
 */
#include "gates.h"

struct device {
	int registers[16];
	int done;
	pthread_mutex_t lock;
	pthread_cond_t finished;
};

static sem_t entered, go, done;
static volatile int sink;

static void handler(union sigval value)
{
	struct device *device = value.sival_ptr;

	handler_starts();
	gate_open(&entered);
	gate_pass(&go);
	sink = device->registers[3];
#if defined FIXED
	free(device);
#elif defined LOOKALIKE && LOOKALIKE == 3
	pthread_mutex_lock(&device->lock);
	device->done = 1;
	pthread_cond_signal(&device->finished);
	pthread_mutex_unlock(&device->lock);
	return;
#endif
	gate_open(&done);
}

int main(void)
{
	struct device *device = calloc(1, sizeof *device);
	timer_t timer = new_timer(handler, device);

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	pthread_mutex_init(&device->lock, NULL);
	pthread_cond_init(&device->finished, NULL);
	arm(timer, 0);
	gate_pass(&entered);
#if defined BAD
	timer_delete(timer);
	free(device);
	gate_open(&go);
	gate_pass(&done);
#elif defined FIXED
	timer_delete(timer);
	gate_open(&go);
	gate_pass(&done);
#elif LOOKALIKE == 1
	gate_open(&go);
	gate_pass(&done);
	timer_delete(timer);
	free(device);
#elif LOOKALIKE == 2
	timer_delete(timer);
	gate_open(&go);
	gate_pass(&done);
	free(device);
#else
	timer_delete(timer);
	gate_open(&go);
	pthread_mutex_lock(&device->lock);
	while (!device->done)
		pthread_cond_wait(&device->finished, &device->lock);
	pthread_mutex_unlock(&device->lock);
	free(device);
#endif
	settle();
	return 0;
}
