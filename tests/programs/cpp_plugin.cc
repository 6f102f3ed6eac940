// A C++ library for a program that is none: with operators of its own or not.
#include "cpp_pool.h"
#include "cpp_use.h"
#include <sys/resource.h>

static std::string global(300, 'g');

extern "C" int plugin_use()
{
	int sum = use_all() + static_cast<int>(global.size());

	printf("%d, %d news, %d deletes\n", sum, pool_news, pool_deletes);
	return 0;
}

static int handled;

static void handler()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

// What happens without memory, by the standard.
extern "C" int plugin_no_memory()
{
	volatile std::size_t size = std::size_t(1) << 45;

	try {
		use_made(new char[size]);
	} catch (const std::bad_alloc &thrown) {
		printf("new[] throws %s\n", thrown.what());
	}
	try {
		std::vector<char> vector(size);
	} catch (const std::bad_alloc &thrown) {
		printf("a vector throws %s\n", thrown.what());
	}
	std::set_new_handler(handler);
	printf("nothrow gives %p\n", static_cast<void *>(new (std::nothrow) char[size]));
	printf("the handler was called %d times\n", handled);
	return 0;
}
