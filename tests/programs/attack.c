/*
 * Legal programs at the edges: attack cycles | sandbox | forks | no_descriptors
 */
#include "gates.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static sem_t entered, go, done;

static void handler(union sigval value)
{
	(void)value;
	gate_open(&entered);
	gate_pass(&go);
	gate_open(&done);
}

static void land(void)
{
	timer_t timer = new_timer(handler, NULL);

	arm(timer, 0);
	gate_pass(&entered);
	timer_delete(timer);
	gate_open(&go);
	gate_pass(&done);
}

/* More timers within two seconds than there are slots; libc reuses handles. */
static void cycles(void)
{
	for (int i = 0; i < 100000; i++) {
		void *data = malloc(64);
		timer_t timer = new_timer(handler, data);

		arm(timer, HOUR_MS);
		if (timer_delete(timer))
			die("timer_delete");
		free(data);
	}
}

/* From now on opening a file kills the process. */
static void sandbox(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		exit(SKIPPED);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		exit(SKIPPED);
}

static void *churn(void *seed)
{
	unsigned int state = (unsigned int)(size_t)seed;
	void *blocks[64] = { 0 };

	for (;;) {
		int i = rand_r(&state) % 64;

		free(blocks[i]);
		blocks[i] = malloc(rand_r(&state) % 3000);
	}
	return NULL;
}

/* Forks in the middle of other threads' allocations. */
static void forks(void)
{
	pthread_t thread;

	for (size_t i = 1; i <= 3; i++)
		pthread_create(&thread, NULL, churn, (void *)i);
	for (int i = 0; i < 100; i++) {
		int status;
		pid_t child = fork();

		if (!child) {
			for (size_t j = 0; j < 50; j++)
				free(malloc(j * 100));
			_exit(0);
		}
		waitpid(child, &status, 0);
		if (status)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	struct rlimit none = { 3, 3 };

	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	if (!strcmp(mode, "cycles"))
		cycles();
	if (!strcmp(mode, "sandbox"))
		sandbox();
	if (!strcmp(mode, "forks"))
		forks();
	if (!strcmp(mode, "no_descriptors"))
		setrlimit(RLIMIT_NOFILE, &none);
	land();
	return 5;
}
