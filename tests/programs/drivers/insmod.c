/*
 * Loads the module that is its second argument, uses it, and unloads it while its
 * timer's handler runs. That the text is gone is said, not done: the handler comes
 * back to it.
 */
#include "bench.h"
#include <dlfcn.h>
#include <linux/errno.h>
#include <link.h>

struct module_file {
	const char *path;
	char *low, *high; /* of its text */
	int (*init)(void);
	void (*cleanup)(void);
	int (*uses)(void);
	int (*open)(void);
	int (*release)(void);
};

void device_out(unsigned char value, unsigned long port)
{
	(void)value;
	(void)port;
	bench_device_out();
}

static int find_text(struct dl_phdr_info *object, size_t size, void *arg)
{
	struct module_file *module = arg;

	(void)size;
	if (strcmp(object->dlpi_name, module->path))
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD && segment->p_flags & PF_X) {
			module->low = (char *)object->dlpi_addr + segment->p_vaddr;
			module->high = module->low + segment->p_memsz;
		}
	}
	return 1;
}

static void *symbol(void *handle, const char *name)
{
	void *address = dlsym(handle, name);

	if (!address) {
		fprintf(stderr, "%s\n", dlerror());
		exit(2);
	}
	return address;
}

static void insmod(struct module_file *module)
{
	void *handle = dlopen(module->path, RTLD_NOW);

	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		exit(2);
	}
	module->init = symbol(handle, "init_module");
	module->cleanup = symbol(handle, "cleanup_module");
	module->uses = symbol(handle, "deadwalk_module_uses");
	module->open = symbol(handle, "dog_open");
	module->release = symbol(handle, "dog_release");
	dl_iterate_phdr(find_text, module);
	saw(module->low && module->init() == 0, "loaded");
}

/* How many timers were in its text; -EBUSY if it is in use. */
static int rmmod(struct module_file *module)
{
	if (module->uses())
		return -EBUSY;
	module->cleanup();
	return deadwalk_module_unload(module->low, module->high);
}

int main(int argc, char **argv)
{
	struct module_file module = { 0 };
	int is_fixed, found;

	if (argc != 3)
		return 2;
	is_fixed = !strcmp(argv[1], "fixed");
	module.path = argv[2];
	bench_start(1, argv, is_fixed);
	insmod(&module);
	saw(module.open() == 0 && module.open() == -EBUSY, "open");
	bench_wait_for_handler();
	saw(rmmod(&module) == -EBUSY, "in use");
	saw(module.release() == 0, "released");
	found = rmmod(&module);
	saw(found == !scenario.deletes_wait, "unloaded with %d timers", found);
	return bench_end();
}
