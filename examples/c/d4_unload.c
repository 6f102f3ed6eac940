/*
 * D4, "the handler's text has been unloaded": main deletes the timer and unloads
 * the module, the handler goes on. The module is a section of this program; it
 * is declared unloaded, not unmapped, so that the program survives.
 */
#include "scenario.h"

#define MODULE_TEXT __attribute__((section("module_text"), noinline))

/* The linker gives these to a section with such a name. */
extern char __start_module_text[], __stop_module_text[];

static atomic_int unloaded, ran_unloaded = -1;

MODULE_TEXT static void handler(unsigned long unused)
{
	(void)unused;
	enter_and_wait();
	atomic_store(&ran_unloaded, atomic_load(&unloaded));
}

int main(int argc, char **argv)
{
	static struct timer_list timer;
	int deleted, findings, found_unloaded;

	scenario_start(argc, argv, "");
	no_more_arguments();
	setup_timer(&timer, handler, 0);
	mod_timer(&timer, jiffies + 1);
	gate_pass(&entered_gate);

	before_delete();
	deleted = del_timer(&timer);
	findings = deadwalk_module_unload(__start_module_text, __stop_module_text);
	atomic_store(&unloaded, 1);
	after_delete();
	handlers_return();

	found_unloaded = atomic_load(&ran_unloaded);
	saw(deleted == 0, "del_timer returned %d", deleted);
	saw(found_unloaded == !scenario.deletes_wait, "the handler ran in %s text",
	    found_unloaded ? "unloaded" : "loaded");
	saw(findings == !scenario.deletes_wait, "findings of the unload: %d", findings);
	return scenario_end();
}
