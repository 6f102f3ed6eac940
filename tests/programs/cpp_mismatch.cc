// Memory that goes back other than it came, BAD=1 to 13; twins that do right.
#include <cstddef>
#include <cstdlib>
#include <new>

// A block that no compiler sees through.
template <class T> static T *made(T *block)
{
	static T *volatile kept;
	kept = block;
	return kept;
}

struct Small {
	long words[3];
};
struct Base {
	long words[2];
	~Base() {}
};
struct Derived : Base {
	long more[6];
};
struct Counted {
	long word;
	~Counted() { word = 0; }
};
struct alignas(64) Wide {
	char bytes[64];
};

extern "C" void free_sized(void *, size_t) noexcept __attribute__((weak));

enum { LARGE = 1 << 20, HUGE_ = 100 << 20 };

int main()
{
#if BAD == 1
	free(made(new int));
#elif BAD == 2
	free(made(new char[100]));
#elif BAD == 3
	delete made(static_cast<int *>(malloc(sizeof(int))));
#elif BAD == 4
	delete[] made(static_cast<char *>(malloc(100)));
#elif BAD == 5
	delete[] made(new int);
#elif BAD == 6
	delete made(new int[8]);
#elif BAD == 7
	free(realloc(made(new char[100]), 200));
#elif BAD == 8
	::operator delete(made(::operator new(40)), size_t(48));
#elif BAD == 9
	delete static_cast<Base *>(made(new Derived));
#elif BAD == 10
	free(made(new char[LARGE]));
#elif BAD == 11
	free(made(new char[HUGE_]));
#elif BAD == 12
	free(made(new Wide));
#elif BAD == 13
	free_sized(made(malloc(30)), 31);
#elif defined(FIXED)
	delete made(new int);
	delete[] made(new char[100]);
	free(made(malloc(sizeof(int))));
	delete made(new Derived);
	delete[] made(new char[LARGE]);
	delete[] made(new char[HUGE_]);
	delete made(new Wide);
	::operator delete(made(::operator new(40)), size_t(40));
	if (free_sized)
		free_sized(made(malloc(30)), 30);
#elif defined(LOOKALIKE)
	// An array's delete knows its cookie, whatever its type says.
	delete[] made(new Counted[5]);
	delete[] made(new Wide[5]);
	// Placement gives nothing back.
	void *room = made(malloc(sizeof(Small)));
	Small *small = new (room) Small;
	small->~Small();
	free(room);
	// Functions that stand for each other.
	::operator delete[](made(::operator new[](100)));
	::operator delete(made(::operator new(100, std::nothrow)), std::nothrow);
	::operator delete(made(::operator new(0)), size_t(0));
	free(realloc(made(malloc(10)), 20));
	delete made(static_cast<Small *>(nullptr));
#endif
	return 7;
}
