/*
 * A C++ plugin with a unique symbol: the loader never unloads it, so a handler in
 * it stays.
 */
#include "unload.h"
#include <csignal>
#include <ctime>

template <typename T> struct Counter {
	static T count;
};
template <typename T> T Counter<T>::count;

static timer_t timer;

static void plugin_handler(union sigval value)
{
	struct shared *shared = static_cast<struct shared *>(value.sival_ptr);

	sem_post(&shared->entered);
	sem_wait(&shared->go);
	Counter<long>::count++;
	sem_post(&shared->done);
}

extern "C" void start(struct shared *shared, long ms)
{
	struct sigevent event = {};
	struct itimerspec when = {};

	event.sigev_notify = SIGEV_THREAD;
	event.sigev_notify_function = plugin_handler;
	event.sigev_value.sival_ptr = shared;
	when.it_value.tv_nsec = ms * 1000000;
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &when, nullptr);
}
