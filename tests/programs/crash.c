/*
 * Crashes, and faults that are none: crash HOW. Each goes through the functions
 * crashing() and outer(), whose names belong on its stack.
 */
#include "gates.h"

#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define WILD ((char *)0x123456789000)
#define NOT_CANONICAL ((char *)0x1234567890123450)
#define POISON 0x6b6b6b6b6b6b6b6bul
/* What the C library adds to flags for the kernel (SA_RESTORER). */
#define RESTORER 0x04000000
#define THREADS 4
#define PAGE 4096

struct node {
	struct node *next, *other;
	void (*call)(void);
	char rest[40];
};

static pthread_barrier_t together;
static char *page;
static sigjmp_buf back;
static volatile char sink;

/* A freed node, as a program sees it that goes on to use it. */
static struct node *freed(void)
{
	struct node *volatile node = malloc(sizeof *node);

	free(node);
	return node;
}

static __attribute__((noinline)) void crashing(const char *how)
{
	if (!strcmp(how, "read"))
		sink = *(volatile char *)WILD;
	else if (!strcmp(how, "write"))
		*(volatile char *)WILD = 1;
	else if (!strcmp(how, "null"))
		sink = *(volatile char *)8;
	else if (!strcmp(how, "call"))
		((void (*volatile)(void))WILD)();
	else if (!strcmp(how, "poison-read"))
		sink = (intptr_t)((volatile struct node *)((volatile struct node *)freed())->next)->other;
	else if (!strcmp(how, "poison-write"))
		((volatile struct node *)((volatile struct node *)freed())->next)->other = NULL;
	else if (!strcmp(how, "poison-call"))
		((volatile struct node *)freed())->call();
	else if (!strcmp(how, "poison-stack"))
		/* Through rbp, the stack's segment: SIGBUS. */
		__asm__ volatile("mov %%rbp, %%rcx; mov %0, %%rbp; mov 8(%%rbp), %%rax; mov %%rcx, %%rbp"
				 : : "r"(POISON) : "rax", "rcx", "memory");
	else if (!strcmp(how, "not-canonical"))
		sink = *(volatile char *)NOT_CANONICAL;
	else if (!strcmp(how, "unaligned"))
		__asm__ volatile("movaps 1(%0), %%xmm0" : : "r"(page) : "xmm0");
	else if (!strcmp(how, "page"))
		sink = *(volatile char *)page;
	else if (!strcmp(how, "raise"))
		raise(SIGSEGV);
	else if (!strcmp(how, "ill"))
		__asm__ volatile("ud2");
	else if (!strcmp(how, "fpe"))
		__asm__ volatile("idivl %2" : : "a"(1), "d"(0), "r"(0));
	else if (!strcmp(how, "abort"))
		abort();
	else
		die(how);
	__asm__ volatile("" : : : "memory");
}

static __attribute__((noinline)) void outer(const char *how)
{
	crashing(how);
	__asm__ volatile("" : : : "memory");
}

static __attribute__((noinline)) int deeper(volatile char *above)
{
	volatile char room[PAGE];

	room[0] = *above;
	return *above ? deeper(room) + room[0] : 0;
}

static void opens_page(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	if (info->si_addr != page || mprotect(page, PAGE, PROT_READ))
		_exit(9);
	write(1, "opened\n", 7);
}

static void jumps(int number)
{
	(void)number;
	siglongjmp(back, 1);
}

static void leaves(int number)
{
	(void)number;
	_exit(5);
}

static void returns(int number)
{
	(void)number;
}

static void resets(int number)
{
	signal(number, SIG_DFL);
}

static void raises(int number)
{
	signal(number, SIG_DFL);
	raise(number);
}

static void handle(int flags, void (*handler)(int), void (*with_info)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_flags = flags };

	if (with_info)
		action.sa_sigaction = with_info;
	else
		action.sa_handler = handler;
	if (sigaction(SIGSEGV, &action, NULL))
		die("sigaction");
}

static void block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL))
		die("pthread_sigmask");
}

static void *in_thread(void *how)
{
	outer(how);
	return NULL;
}

static void *in_threads(void *how)
{
	pthread_barrier_wait(&together);
	return in_thread(how);
}

static void alternate_stack(size_t size)
{
	stack_t stack = { .ss_sp = malloc(size), .ss_size = size };

	if (sigaltstack(&stack, NULL))
		die("sigaltstack");
}

/* What is in force is what the program set, whoever stands in front of it. */
static void asks(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction action, before;

	for (unsigned at = 0; at < sizeof signals / sizeof *signals; at++) {
		if (sigaction(signals[at], NULL, &action))
			die("sigaction");
		printf("%d %d %x\n", signals[at], action.sa_handler == SIG_DFL, action.sa_flags & ~RESTORER);
		if (signal(signals[at], leaves) != SIG_DFL)
			puts("not the default");
		if (signal(signals[at], SIG_DFL) != leaves)
			puts("not the handler");
		action.sa_handler = leaves;
		action.sa_flags = SA_RESETHAND;
		if (sigaction(signals[at], &action, NULL))
			die("sigaction");
		action.sa_handler = SIG_DFL;
		action.sa_flags = 0;
		if (sigaction(signals[at], &action, &before))
			die("sigaction");
		printf("%d %x\n", before.sa_handler == leaves, before.sa_flags & ~RESTORER);
		if (sigaction(signals[at], NULL, &action))
			die("sigaction");
		printf("%d %x\n", action.sa_handler == SIG_DFL, action.sa_flags & ~RESTORER);
	}
}

/* Ends as the child did, but for the core. */
static void end_as(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	printf("child %s %d\n", WIFSIGNALED(status) ? "killed by" : "exit",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	pthread_t thread;

	setvbuf(stdout, NULL, _IONBF, 0);
	page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		die("mmap");
	if (!strcmp(how, "overflow")) {
		return deeper((char[]){ 1 });
	} else if (!strcmp(how, "overflow-alternate")) {
		alternate_stack(64 * 1024);
		handle(SA_ONSTACK, leaves, NULL);
		return deeper((char[]){ 1 });
	} else if (!strcmp(how, "overflow-default")) {
		alternate_stack(64 * 1024);
		return deeper((char[]){ 1 });
	} else if (!strcmp(how, "fixes")) {
		handle(SA_SIGINFO, NULL, opens_page);
		outer("page");
	} else if (!strcmp(how, "jumps")) {
		handle(0, jumps, NULL);
		if (!sigsetjmp(back, 1))
			outer("poison-read");
		puts("jumped");
	} else if (!strcmp(how, "leaves")) {
		handle(0, leaves, NULL);
		outer("read");
	} else if (!strcmp(how, "resets")) {
		handle(0, resets, NULL);
		outer("read");
	} else if (!strcmp(how, "raises")) {
		handle(0, raises, NULL);
		outer("read");
	} else if (!strcmp(how, "reset-hand")) {
		handle(SA_RESETHAND, resets, NULL);
		outer("write");
	} else if (!strcmp(how, "blocked")) {
		block();
		outer("read");
	} else if (!strcmp(how, "ignored")) {
		signal(SIGSEGV, SIG_IGN);
		outer("read");
	} else if (!strcmp(how, "ignored-raise")) {
		signal(SIGSEGV, SIG_IGN);
		outer("raise");
		puts("ignored");
	} else if (!strcmp(how, "asks")) {
		asks();
	} else if (!strcmp(how, "abort-handled")) {
		signal(SIGABRT, leaves);
		outer("abort");
	} else if (!strcmp(how, "abort-returns")) {
		signal(SIGABRT, returns);
		outer("abort");
	} else if (!strcmp(how, "fpe-default-again")) {
		signal(SIGFPE, leaves);
		signal(SIGFPE, SIG_DFL);
		outer("fpe");
	} else if (!strcmp(how, "bus-ignored")) {
		signal(SIGBUS, SIG_IGN);
		raise(SIGBUS);
		puts("ignored");
	} else if (!strcmp(how, "sandbox")) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
			exit(SKIPPED);
		outer("write");
	} else if (!strcmp(how, "killed")) {
		kill(getpid(), SIGSEGV);
	} else if (!strcmp(how, "thread")) {
		if (pthread_create(&thread, NULL, in_thread, "poison-read"))
			die("pthread_create");
		pthread_join(thread, NULL);
	} else if (!strcmp(how, "threads")) {
		pthread_barrier_init(&together, NULL, THREADS);
		for (int at = 0; at < THREADS; at++)
			if (pthread_create(&thread, NULL, in_threads, "write"))
				die("pthread_create");
		pthread_join(thread, NULL);
	} else if (!strcmp(how, "child")) {
		pid_t child = fork();

		if (!child)
			outer("write");
		end_as(child);
	} else if (!strcmp(how, "vfork")) {
		pid_t child = vfork();

		if (!child) {
			*(volatile char *)WILD = 1;
			_exit(0);
		}
		end_as(child);
	} else {
		outer(how);
	}
	return 0;
}
