/*
 * A threaded load and a child, under whatever is preloaded or linked. Says
 * whether an interposer of ours was called, if it is there.
 */
#include "survive.h"
#include <sys/wait.h>

long survive_interpose_calls(void) __attribute__((weak));

int main(void)
{
	pthread_t threads[3];
	int status;

	start_load(threads, 3);
	for (int at = 0; at < 20; at++) {
		live_a_little(at);
		free(made(realloc(strdup("text"), 100)));
		void *aligned;
		if (posix_memalign(&aligned, 4096, 10000) || malloc_usable_size(aligned) < 10000)
			fail("posix_memalign");
		free(aligned);
		free(made(aligned_alloc(128, 1280)));
	}
	pid_t pid = fork();
	if (pid == 0) {
		live_a_little(3);
		exit(0);
	}
	waitpid(pid, &status, 0);
	while (load_rounds < 100)
		sched_yield();
	stop_load(threads, 3);
	printf("child %d", WEXITSTATUS(status));
	if (survive_interpose_calls)
		printf(", interposer called: %d", survive_interpose_calls() > 1000);
	printf("\n");
	return 0;
}
