// Loads C++ libraries for itself alone: HOST LIBRARY FUNCTION ...
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	int status = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		void *library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
		int (*function)(void) = library ? (int (*)(void))dlsym(library, argv[i + 1]) : NULL;

		if (!function) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		status |= function();
		fflush(stdout);
	}
	return status;
}
