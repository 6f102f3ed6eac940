/*
 * Loads a plugin and closes it: unload_host MODE PLUGIN [OTHER].
 *
 * | mode     | what is closed when                                  |          |
 * |----------|------------------------------------------------------|----------|
 * | pending  | the plugin, its timer armed                          | bad      |
 * | running  | the plugin, its handler running                      | bad      |
 * | deleted  | the same, after a delete that landed on the handler  | bad      |
 * | own      | the plugin, by its own handler                       | bad      |
 * | stopped  | the plugin, its timer deleted and no handler running | fixed    |
 * | armed    | the plugin, which stays loaded or stops its timer    | legal    |
 * | busy     | the plugin, which stays loaded, its handler running  | legal    |
 * | twice    | one of two handles, then the other as in `stopped`   | legal    |
 * | needed   | the plugin, which an open object needs               | legal    |
 * | other    | another object, the plugin's handler running         | legal    |
 * | cycles   | the plugin, a hundred times, stopped by a destructor | legal    |
 */
#include "gates.h"
#include "unload.h"

#define CYCLES 100
/* Mapped areas that may come meanwhile: fewer than one a plugin. */
#define FEW (CYCLES * 6 / 10)

static struct shared shared;
static sem_t later;

static void *load(const char *path, int more)
{
	void *handle = dlopen(path, RTLD_LAZY | more);

	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return handle;
}

static void unload(void *handle)
{
	if (dlclose(handle))
		die("dlclose");
}

static void start(void *handle, long ms)
{
	plugin_start *start = (plugin_start *)dlsym(handle, "start");

	start(&shared, ms);
}

static void stop(void *handle)
{
	plugin_stop *stop = (plugin_stop *)dlsym(handle, "stop");

	stop();
}

static void on_later(union sigval value)
{
	(void)value;
	gate_open(&later);
}

/* Until everything that was due within 100 ms has expired: libc takes expiries in
 * their order. */
static void pass_time(void)
{
	timer_t timer = new_timer(on_later, NULL);

	for (int i = 0; i < 4; i++) {
		arm(timer, 50);
		gate_pass(&later);
	}
}

static void let_handler_end(void)
{
	gate_open(&shared.go);
	gate_pass(&shared.done);
	pass_time();
}

static int map_count(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int count = 0, c;

	if (!maps)
		die("/proc/self/maps");
	while ((c = getc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

int main(int argc, char **argv)
{
	const char *mode = argv[1], *path = argv[2];
	void *other = argc > 3 ? load(argv[3], 0) : NULL;
	int is = 0;

#define IS(name) (is |= !strcmp(mode, name), !strcmp(mode, name))
	gate_init(&shared.entered);
	gate_init(&shared.go);
	gate_init(&shared.done);
	gate_init(&later);
	if (IS("pending")) {
		void *handle = load(path, 0);

		start(handle, 30);
		unload(handle);
		pass_time();
	}
	if (IS("running") || IS("deleted") || IS("stopped") || IS("own")) {
		void *handle = load(path, 0);

		start(handle, 1);
		gate_pass(&shared.entered);
		if (IS("deleted"))
			stop(handle);
		if (IS("own"))
			shared.own = handle;
		else if (!IS("stopped"))
			unload(handle);
		let_handler_end();
		if (IS("stopped")) {
			stop(handle);
			unload(handle);
		}
	}
	if (IS("armed")) {
		void *handle = load(path, argc > 3 ? RTLD_NODELETE : 0);

		start(handle, 30);
		unload(handle);
		pass_time();
		gate_open(&shared.go);
		pass_time();
	}
	if (IS("busy") || IS("needed") || IS("other") || IS("twice")) {
		void *handle = load(path, 0);
		void *again = IS("twice") ? load(path, 0) : NULL;

		start(handle, 1);
		gate_pass(&shared.entered);
		unload(IS("other") ? other : handle);
		let_handler_end();
		if (again) {
			stop(again);
			unload(again);
		}
	}
	if (IS("cycles")) {
		int before = map_count();

		for (int i = 0; i < CYCLES; i++) {
			void *handle = load(path, 0);

			start(handle, HOUR_MS);
			unload(handle);
		}
		if (map_count() > before + FEW) {
			fprintf(stderr, "%d areas, then %d\n", before, map_count());
			return 1;
		}
	}
	return !is;
}
