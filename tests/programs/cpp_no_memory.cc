// Without memory: what throws, what returns null, when the handler is called.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <vector>

struct alignas(64) Wide {
	char bytes[64];
};
struct Thrown {
	int number;
};

static const std::size_t LIMIT = 512 << 20;
static int handled;
static char *reserve;

template <class T> static T *made(T *block)
{
	static T *volatile kept;
	kept = block;
	return kept;
}

template <class F> static void attempt(const char *what, F call)
{
	const char *how = "returned";

	try {
		call();
	} catch (const std::bad_array_new_length &) {
		how = "bad_array_new_length";
	} catch (const std::bad_alloc &) {
		how = "bad_alloc";
	} catch (const std::length_error &) {
		how = "length_error";
	} catch (const Thrown &) {
		how = "what the handler threw";
	}
	printf("%s: %s, handler called %d times\n", what, how, handled);
	handled = 0;
}

static void gives_up()
{
	if (++handled == 2)
		std::set_new_handler(nullptr);
}

static void gives_back()
{
	handled++;
	delete[] reserve;
	reserve = nullptr;
}

static void throws()
{
	handled++;
	throw Thrown{ handled };
}

int main()
{
	struct rlimit limit = { 4 * LIMIT, 4 * LIMIT };
	volatile std::size_t huge = std::size_t(1) << 45, most = PTRDIFF_MAX, over = SIZE_MAX / 4 + 2;
	volatile std::size_t almost = SIZE_MAX - 8;
	volatile std::size_t large = 3 * LIMIT;

	if (setrlimit(RLIMIT_AS, &limit))
		return 1;
	attempt("new[]", [&] { made(new char[huge]); });
	attempt("new[] of all", [&] { made(new char[most]); });
	attempt("new[] of more", [&] { made(new int[over]); });
	attempt("new", [&] { made(::operator new(huge)); });
	attempt("new of more", [&] { made(::operator new(almost)); });
	attempt("wide", [&] { made(new Wide[huge / 64]); });
	attempt("odd alignment", [&] { made(::operator new(10, std::align_val_t(48))); });
	attempt("vector", [&] { std::vector<int> vector(most / 8); });
	attempt("longer vector", [&] { std::vector<int> vector(almost / 2); });
	attempt("string", [&] { std::string text(huge, 'x'); });
	printf("nothrow: %p", static_cast<void *>(new (std::nothrow) char[huge]));
	printf(" %p", ::operator new(huge, std::nothrow));
	printf(" %p", static_cast<void *>(new (std::nothrow) Wide[huge / 64]));
	printf(" %p\n", ::operator new(10, std::align_val_t(48), std::nothrow));

	std::set_new_handler(gives_up);
	attempt("handler that gives up", [&] { made(new char[huge]); });
	std::set_new_handler(gives_up);
	attempt("nothrow and handler", [&] { made(new (std::nothrow) char[huge]); });
	std::set_new_handler(throws);
	attempt("handler that throws", [&] { made(new char[huge]); });
	attempt("wide, handler that throws", [&] { made(new Wide[huge / 64]); });
	attempt("nothrow, handler that throws", [&] {
		if (made(new (std::nothrow) char[huge]))
			abort();
	});
	std::set_new_handler(gives_back);
	reserve = made(new char[large]);
	attempt("handler that gives back", [&] { delete[] made(new char[large]); });
	reserve = made(new char[large]);
	attempt("wide, handler that gives back", [&] { delete[] made(new Wide[large / 64]); });

	// As many as there are: then no more, and all goes back.
	std::set_new_handler(nullptr);
	std::vector<char *> blocks;
	blocks.reserve(10000);
	attempt("many", [&] {
		for (int i = 0; i < 10000; i++)
			blocks.push_back(new char[1 << 20]);
	});
	for (char *block : blocks)
		delete[] block;
	attempt("again", [&] { delete[] made(new char[100 << 20]); });
	delete made(new int);
	return 0;
}
