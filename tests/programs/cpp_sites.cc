// Deletes an object twice: who made it, who deleted it first, who did again.
#include <new>

struct Object {
	long words[5];
};

static Object *volatile kept;

int main()
{
	kept = new Object;
	Object *object = kept;
	::operator delete(static_cast<void *>(object));
	::operator delete(static_cast<void *>(kept));
	return 7;
}
