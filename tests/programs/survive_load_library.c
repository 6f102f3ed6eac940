/*
 * Loads and unloads survive_library.so; blocks cross both ways, some live longer
 * than the library. survive_load_library LIBRARY plain|deepbind|namespace [TIMES]
 */
#include "survive.h"
#include <dlfcn.h>

static void *load(const char *path, const char *mode)
{
	void *library;

	if (!strcmp(mode, "namespace"))
		library = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
	else if (!strcmp(mode, "deepbind"))
		library = dlopen(path, RTLD_NOW | RTLD_DEEPBIND);
	else
		library = dlopen(path, RTLD_NOW);
	if (!library)
		fail(dlerror());
	return library;
}

int main(int argc, char **argv)
{
	int times = number(argc, argv, 3, 100), well = 0;
	pthread_t thread;

	if (argc < 3)
		return 2;
	start_load(&thread, 1);
	for (int at = 0; at < times; at++) {
		void *library = load(argv[1], argv[2]);
		char *(*give)(const char *), *(*swap)(char *);

		*(void **)&give = dlsym(library, "survive_library_give");
		*(void **)&swap = dlsym(library, "survive_library_swap");
		if (!strcmp(argv[2], "namespace")) {
			/* Another libc: its blocks stay there. */
			well += !strcmp(give("given"), "given");
			dlclose(library);
			continue;
		}
		char *given = give("given"), *swapped = swap(strdup("swapped"));

		well += malloc_usable_size(given) >= 6;
		given = realloc(given, 300);
		dlclose(library);
		well += !strcmp(given, "given") && !strcmp(swapped, "swapped");
		free(given);
		free(swapped);
	}
	stop_load(&thread, 1);
	printf("loaded %d times, well %d\n", times, well);
	return 0;
}
