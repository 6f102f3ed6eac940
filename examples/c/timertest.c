/*
 * The module 'timertest' "is a bunch of test cases for the proposed patch": what
 * each call returns in the subtle cases, under each policy. Every case prints
 * one line; a test runs one case per process and looks at deadwalk's report.
 *
 *     timertest [--policy async|sync|running] CASE|all|list
 */
#include "timertest.h"

#include "timertest_calls.h"
#include "timertest_handler.h"
#include "timertest_storage.h"
#include "timertest_threads.h"

#define CASE(name) { #name, name }

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	/* timertest_handler.h */
	CASE(one_shot), CASE(periodic), CASE(delete_in_handler), CASE(delete_readd_in_handler),
	CASE(readd_then_delete), CASE(readd_delete_self), CASE(readd_delete_free),
	CASE(free_in_handler), CASE(sync_from_handler), CASE(sync_timers_in_handler),
	CASE(rearm_in_the_past),
	/* timertest_threads.h */
	CASE(readd_by_other), CASE(readd_under_the_waiter), CASE(mod_while_running),
	CASE(two_deleters), CASE(two_deleters_running), CASE(two_deleters_readded),
	CASE(two_deleters_free), CASE(try_to_delete), CASE(reinit_while_running),
	CASE(sync_timers_waits),
	/* timertest_storage.h */
	CASE(delete_initialised), CASE(delete_static), CASE(delete_garbage), CASE(delete_freed),
	CASE(copy_pending), CASE(copy_and_wipe), CASE(copy_inactive), CASE(storage_reused),
	CASE(storage_reused_after_own),
	CASE(realloc_moves), CASE(stack_frame_gone), CASE(stack_declared), CASE(fork_pending),
	/* timertest_calls.h */
	CASE(double_delete), CASE(mod_and_reduce), CASE(modern_names), CASE(modern_static),
	CASE(arm_after_shutdown), CASE(double_add), CASE(null_handler), CASE(reinit_pending),
	CASE(change_fields),
};

enum { CASES = sizeof cases / sizeof *cases };

static int run_case(int i)
{
	case_name = cases[i].name;
	atomic_store(&case_is_ok, 1);
	atomic_store(&runs, 0);
	atomic_store(&in_handler_returned, -1);
	cases[i].run();
	if (atomic_load(&case_is_ok))
		printf("case %s: ok\n", case_name);
	return atomic_load(&case_is_ok);
}

int main(int argc, char **argv)
{
	const char *name;
	int is_known = 0, all_ok = 1;

	scenario_start(argc, argv, "CASE|all|list");
	name = next_argument();
	no_more_arguments();
	if (!name)
		usage();
	for (int i = 0; i < CASES; i++) {
		if (!strcmp(name, "list"))
			printf("%s\n", cases[i].name);
		else if (!strcmp(name, "all") || !strcmp(name, cases[i].name))
			all_ok &= run_case(i);
		else
			continue;
		is_known = 1;
	}
	if (!is_known)
		usage();
	return all_ok ? 0 : 1;
}
