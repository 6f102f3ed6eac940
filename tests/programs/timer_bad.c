/*
 * Timers that are none: each case calls every function on one kind of them. The
 * exit status is 7.
 */
#define DEADWALK_TIMER_EXIT /* timer_exit of 2.3 too */
#include <deadwalk/deadwalk.h>
#include <linux/timer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* How often each function of every() returned something else than 0. */
static int answers;
static int fired;

static void handler(unsigned long data)
{
	(void)data;
	fired++;
}

static void kernel_4_15(struct timer_list *timer)
{
	(void)timer;
	fired++;
}

/* Every function that looks at its timer first. */
static void every(struct timer_list *timer)
{
	add_timer(timer);
	add_timer_on(timer, 0);
	answers += !!mod_timer(timer, jiffies + 1);
	answers += !!mod_timer_pending(timer, jiffies + 1);
	answers += !!timer_reduce(timer, jiffies + 1);
	answers += !!timer_pending(timer);
	answers += !!del_timer(timer);
	answers += !!del_timer_async(timer);
	answers += !!del_timer_sync(timer);
	answers += !!try_to_del_timer_sync(timer);
	answers += !!timer_delete(timer);
	answers += !!timer_delete_sync(timer);
	answers += !!timer_delete_sync_try(timer);
	answers += !!timer_shutdown(timer);
	answers += !!timer_shutdown_sync(timer);
	timer_exit(timer);
}

/* ... and those that begin and end one, where there is no memory for it. */
static void nowhere(void *addr)
{
	struct timer_list *timer = addr;

	every(timer);
	(init_timer)(timer);
	timer_setup(timer, kernel_4_15, 0);
	destroy_timer_on_stack(timer);
}

static void garbage(unsigned char byte)
{
	struct timer_list on_stack, *on_heap = malloc(sizeof(*on_heap));

	memset(on_heap, byte, sizeof(*on_heap));
	memset(&on_stack, byte, sizeof(on_stack));
	every(on_heap);
	every(&on_stack);
	free(on_heap);
}

static char *pages(int protection, int is_kept)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(page, 8192, protection);
	if (!is_kept)
		munmap(page, 8192);
	return page;
}

static void times(void)
{
	static const unsigned long delays[] = { 0, -1UL, -1000000UL, 1UL << 63, 1UL << 62, 1UL << 40 };
	struct timer_list timers[6];

	for (int i = 0; i < 6; i++) {
		timer_setup_on_stack(&timers[i], kernel_4_15, 0);
		timers[i].expires = jiffies + delays[i];
		add_timer(&timers[i]);
	}
	deadwalk_timer_advance(2);
	/* Past and 2^63 away, which is past too; not those that are far. */
	answers += fired != 4;
	answers += !timer_pending(&timers[4]) + !timer_pending(&timers[5]);
	deadwalk_timer_advance(0xffffffffUL);
	answers += fired != 6;
	deadwalk_timer_advance(-1UL);
	deadwalk_timer_advance(-1UL);
	for (int i = 0; i < 6; i++)
		destroy_timer_on_stack(&timers[i]);
}

static void questions(void)
{
	char on_stack[8] = "";

	answers += deadwalk_set_policy(NULL) != -1;
	answers += deadwalk_set_policy("") != -1;
	answers += deadwalk_set_policy("bogus") != -1;
	answers += deadwalk_set_policy("\xff\xfe") != -1;
	answers += ~deadwalk_counter(NULL) != 0;
	answers += ~deadwalk_counter("") != 0;
	answers += ~deadwalk_counter("\xff") != 0;
	answers += ~deadwalk_counter("timers.") != 0;
	answers += deadwalk_watch(NULL) != 0;
	answers += deadwalk_watch(on_stack) != 0;
	answers += deadwalk_watch((void *)8) != 0;
	answers += deadwalk_watch((void *)-1UL) != 0;
	answers += deadwalk_watch((void *)(1UL << 60)) != 0;
	answers += deadwalk_module_unload(NULL, NULL) != 0;
	answers += deadwalk_module_unload((void *)-1UL, NULL) != 0;
	answers += deadwalk_module_unload(NULL, (void *)-1UL) != 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "null")) {
		nowhere(NULL);
	} else if (!strcmp(name, "first_page")) {
		nowhere((void *)64);
		nowhere((void *)4088);
	} else if (!strcmp(name, "misaligned")) {
		static struct timer_list timer;

		for (int i = 1; i < 8; i++)
			nowhere((char *)&timer + i);
	} else if (!strcmp(name, "unmapped")) {
		nowhere(pages(PROT_NONE, 0));
	} else if (!strcmp(name, "no_access")) {
		nowhere(pages(PROT_NONE, 1));
	} else if (!strcmp(name, "read_only")) {
		nowhere(pages(PROT_READ, 1));
	} else if (!strcmp(name, "half_there")) {
		/* The last words of a page that has no next one. */
		char *page = pages(PROT_READ | PROT_WRITE, 1);

		munmap(page + 4096, 4096);
		nowhere(page + 4096 - 16);
	} else if (!strcmp(name, "non_canonical")) {
		nowhere((void *)0x6b6b6b6b6b6b6b68UL);
		nowhere((void *)(1UL << 47));
	} else if (!strcmp(name, "kernel_half")) {
		nowhere((void *)0xffff888000001000UL);
		nowhere((void *)-8UL);
	} else if (!strcmp(name, "garbage")) {
		garbage(0xff);
		garbage(0x5a);
		garbage(0x6b);
		garbage(0x01);
	} else if (!strcmp(name, "no_function")) {
		struct timer_list *timer = calloc(1, sizeof(*timer));

		init_timer(timer);
		add_timer(timer);
		answers += !!mod_timer(timer, jiffies + 1) + !!timer_pending(timer);
		free(timer);
	} else if (!strcmp(name, "small_block")) {
		char *block = calloc(1, 16);

		nowhere(block);
		free(block);
	} else if (!strcmp(name, "times")) {
		times();
	} else if (!strcmp(name, "questions")) {
		questions();
	} else if (!strcmp(name, "options")) {
		static DEFINE_TIMER(timer, handler, 0, 0);

		mod_timer(&timer, jiffies + 1);
		answers += deadwalk_timer_advance(1) != 1;
		answers += del_timer_sync(&timer);
	} else {
		return 2;
	}
	printf("%s: %d wrong\n", name, answers);
	return 7;
}
