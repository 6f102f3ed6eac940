/*
 * deadwalk.h, with the library and without it.
 */
#include <deadwalk/deadwalk.h>
#include <stdio.h>
#include <stdlib.h>

static const char *or_null(const char *text)
{
	return text ? text : "NULL";
}

int main(void)
{
	char *block = malloc(100), *volatile other;
	char local;
	unsigned long long before = deadwalk_counter("heap.allocs"), after;

	other = malloc(10);
	free(other);
	after = deadwalk_counter("heap.allocs");
	printf("version %s\n", or_null(deadwalk_version()));
	printf("watch %d %d %d\n", deadwalk_watch(block + 50), deadwalk_watch(&local), deadwalk_watch(NULL));
	printf("counter %lld %lld\n", (long long)(after - before), (long long)deadwalk_counter("no.such"));
	printf("known %lld\n", (long long)deadwalk_counter("del.while_running"));
#ifdef ALL
	printf("advance %lu\n", deadwalk_timer_advance(3));
	printf("unload %d\n", deadwalk_module_unload(&local, &local + 1));
	printf("set %d\n", deadwalk_set_policy("sync"));
	printf("policy %s\n", or_null(deadwalk_policy()));
#endif
	free(block);
	return 0;
}
