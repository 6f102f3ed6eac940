// thread_local objects with destructors, in threads that also have pthread keys
// and that end by return, pthread_exit and an exception.
#include <atomic>
#include <cstdio>
#include <memory>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static std::atomic<int> made, gone, late_ones;
static thread_local bool has_late;

struct Holder {
	std::vector<std::string> texts;
	std::unique_ptr<char[]> large{new char[100000]};

	Holder() { made++; }
	~Holder()
	{
		// Frees and allocates, and the first brings another object to life.
		for (int n = 0; n < 50; n++)
			texts.push_back(std::string(n * 40, 'x'));
		if (!has_late) {
			has_late = true;
			thread_local std::unique_ptr<std::string> late(new std::string(300, 'y'));
			late_ones += late->size() == 300;
		}
		gone++;
	}
};

static thread_local Holder first;
static thread_local Holder second;

static void run(int number)
{
	first.texts.emplace_back(number % 100, 'a');
	if (number % 2)
		second.texts = first.texts;
	if (number % 7 == 1) {
		try {
			throw std::runtime_error(std::string(200, 'e'));
		} catch (const std::exception &error) {
			second.texts.emplace_back(error.what());
		}
	}
}

int main(int, char **)
{
	for (int wave = 0; wave < 25; wave++) {
		std::vector<std::thread> threads;
		for (int n = 0; n < 8; n++)
			threads.emplace_back(run, wave * 8 + n);
		for (auto &thread : threads)
			thread.join();
	}
	std::printf("made %d, gone %d, late %d\n", made.load(), gone.load(), late_ones.load());
	return 0;
}
