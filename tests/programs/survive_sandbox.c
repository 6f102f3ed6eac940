/*
 * Works on after it has given up system calls: what glibc needs none for, needs
 * none here. survive_sandbox strict|large|filter|probe [misuse]
 * strict: SECCOMP_MODE_STRICT. filter: kills the process for everything but
 * read, write, exit and exit_group. large: mmap, munmap, mremap and brk, too.
 * probe: asks for strict mode as libseccomp does, in a way that is refused.
 */
#include "survive.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#define ALLOW(nr)                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##nr, 0, 1),     \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter small_filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	ALLOW(read), ALLOW(write), ALLOW(rt_sigreturn), ALLOW(exit), ALLOW(exit_group),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

/* newfstatat: stdio asks it before its first write. */
static struct sock_filter large_filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	ALLOW(read), ALLOW(write), ALLOW(rt_sigreturn), ALLOW(exit), ALLOW(exit_group),
	ALLOW(mmap), ALLOW(munmap), ALLOW(brk), ALLOW(newfstatat), ALLOW(mremap),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

/* What glibc serves from memory that it has, whatever was allocated before. */
static void small_work(unsigned seed)
{
	unsigned char *block[200];

	for (int round = 0; round < 20; round++) {
		for (int at = 0; at < 200; at++) {
			size_t size = 1 + (seed = seed * 1103515245u + 12345u) / 65536 % 300;

			block[at] = at % 2 ? malloc(size) : calloc(1, size);
			if (!block[at])
				_exit(1);
			block[at] = realloc(block[at], size + 10);
			mark(block[at], size + 10, at);
		}
		for (int at = 0; at < 200; at++)
			free(block[at]);
	}
}

/* A block freed twice, and one that is written to beyond its end. */
static void misuse(void)
{
	static char *volatile block;

	block = malloc(48);
	free(block);
	free(block);
	block = malloc(40);
	block[40] = 1;
	free(block);
}

static void set(struct sock_filter *filter, size_t bytes)
{
	struct sock_fprog program = { bytes / sizeof *filter, filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("no_new_privs");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		exit(SKIPPED);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOFBF, 4096);
	if (!strcmp(mode, "strict")) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0))
			return SKIPPED;
		small_work(1);
		if (write(1, "worked on\n", 10) != 10)
			syscall(SYS_exit, 1);
		syscall(SYS_exit, 5);
	}
	if (!strcmp(mode, "filter")) {
		set(small_filter, sizeof small_filter);
		small_work(1);
		if (argc > 2)
			misuse();
		if (write(1, "worked on\n", 10) != 10)
			_exit(1);
		exit(5);
	}
	if (!strcmp(mode, "probe")) {
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL) != -1)
			die("strict mode with a flag");
	} else {
		set(large_filter, sizeof large_filter);
	}
	live_a_little(1);
	for (size_t size = 100000; size < 200 << 20; size *= 2) {
		char *block = malloc(size);
		block[0] = block[size - 1] = 1;
		free(realloc(block, size * 3 / 2));
	}
	printf("worked on\n");
	return 5;
}
