/* Loads a library, runs it, unloads it: plugin_host LIBRARY [keep] */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	void (*run)(void);

	if (!library) {
		fprintf(stderr, "plugin_host: %s\n", dlerror());
		return 1;
	}
	*(void **)&run = dlsym(library, "plugin_run");
	if (!run)
		return 1;
	run();
	if (argc < 3)
		dlclose(library);
	return 0;
}
