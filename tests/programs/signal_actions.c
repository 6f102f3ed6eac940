/*
 * What sigaction, signal and their older kin tell of what was set, and what
 * becomes of faults that are the program's own. Prints the same with and without
 * anything in front of its handlers.
 */
#define _GNU_SOURCE
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void (*handler)(int);

static volatile sig_atomic_t count;
static sigjmp_buf env;
static void *volatile fault_addr;
static volatile sig_atomic_t on_alternate;
static char alternate[64 * 1024];

static void first(int n) { (void)n; count++; }
static void second(int n) { (void)n; count += 100; }

static void third(int n, siginfo_t *info, void *context)
{
	(void)n; (void)context;
	char here;

	fault_addr = info->si_addr;
	on_alternate = &here >= alternate && &here < alternate + sizeof alternate;
	count++;
}

static void jumps(int n, siginfo_t *info, void *context)
{
	third(n, info, context);
	siglongjmp(env, 1);
}

static const char *name(handler h)
{
	if (h == SIG_DFL) return "default";
	if (h == SIG_IGN) return "ignored";
	if (h == SIG_ERR) return "error";
	if (h == first) return "first";
	if (h == second) return "second";
	if (h == (handler)(void *)third) return "third";
	if (h == (handler)(void *)jumps) return "jumps";
	return h == SIG_HOLD ? "held" : "unknown";
}

static void show(const char *what, int number)
{
	struct sigaction now;

	if (sigaction(number, NULL, &now)) {
		printf("%s %d: errno %d\n", what, number, errno);
		return;
	}
	printf("%s %d: %s flags %x mask", what, number, name(now.sa_handler),
	       (unsigned)now.sa_flags & ~0x04000000u);
	for (int n = 1; n < 65; n++)
		if (sigismember(&now.sa_mask, n) == 1)
			printf(" %d", n);
	printf("\n");
}

static void set(int number, handler h, int flags, int full)
{
	struct sigaction action, old;

	memset(&action, 0, sizeof action);
	action.sa_handler = h;
	action.sa_flags = flags;
	if (full)
		sigfillset(&action.sa_mask);
	int result = sigaction(number, &action, &old);
	printf("set %d: %d", number, result);
	if (!result)
		printf(", was %s flags %x segv %d", name(old.sa_handler),
		       (unsigned)old.sa_flags & ~0x04000000u, sigismember(&old.sa_mask, SIGSEGV));
	printf("\n");
	show("now", number);
}

static void ordinary(void)
{
	set(SIGUSR1, first, 0, 0);
	set(SIGUSR1, second, SA_RESTART, 1);
	raise(SIGUSR1);
	set(SIGUSR1, first, SA_RESETHAND | SA_NODEFER, 0);
	raise(SIGUSR1);
	show("used up", SIGUSR1);
	set(SIGUSR1, SIG_IGN, 0, 0);
	raise(SIGUSR1);
	set(SIGKILL, first, 0, 0);
	set(0, first, 0, 0);
	set(65, first, 0, 0);
	printf("signal: %s\n", name(signal(SIGUSR2, first)));
	show("signal", SIGUSR2);
	siginterrupt(SIGUSR2, 1);
	show("siginterrupt", SIGUSR2);
	raise(SIGUSR2);
	printf("signal: %s\n", name(signal(SIGUSR2, second)));
	show("signal", SIGUSR2);
	printf("sysv: %s\n", name(sysv_signal(SIGUSR2, first)));
	show("sysv", SIGUSR2);
	raise(SIGUSR2);
	show("sysv used up", SIGUSR2);
	printf("sigset: %s\n", name(sigset(SIGUSR2, second)));
	printf("sigset: %s\n", name(sigset(SIGUSR2, SIG_HOLD)));
	printf("sigset: %s\n", name(sigset(SIGUSR2, first)));
	raise(SIGUSR2);
	printf("signal: %s\n", name(signal(SIGUSR2, SIG_DFL)));
	printf("signal: %s\n", name(signal(SIGKILL, first)));
	printf("signal: %s\n", name(signal(1000, first)));
	printf("count %d\n", (int)count);
}

static void masks(void)
{
	sigset_t all, old;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	printf("blocked before: %d %d\n", sigismember(&old, SIGSEGV), sigismember(&old, SIGUSR1));
	sigprocmask(SIG_BLOCK, NULL, &old);
	printf("blocked: %d %d\n", sigismember(&old, SIGSEGV), sigismember(&old, SIGUSR1));
	sigemptyset(&all);
	sigaddset(&all, SIGSEGV);
	pthread_sigmask(SIG_UNBLOCK, &all, &old);
	printf("blocked: %d\n", sigismember(&old, SIGSEGV));
	pthread_sigmask(SIG_SETMASK, &all, &old);
	printf("blocked: %d\n", sigismember(&old, SIGSEGV));
	sigemptyset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	printf("blocked: %d %d\n", sigismember(&old, SIGSEGV), sigismember(&old, SIGUSR1));
	printf("bad: %d\n", pthread_sigmask(77, &all, &old));
}

static void faults(void)
{
	char *wild = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
	struct sigaction action;

	show("segv", SIGSEGV);
	memset(&action, 0, sizeof action);
	action.sa_sigaction = jumps;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &action, NULL);
	show("segv", SIGSEGV);
	count = 0;
	for (volatile int n = 0; n < 1000; n++) {
		if (!sigsetjmp(env, 1))
			*(volatile char *)(wild + n) = 1;
		else if (fault_addr != wild + n || !on_alternate)
			printf("wrong fault\n");
	}
	printf("faults %d\n", (int)count);
	action.sa_flags = SA_SIGINFO | SA_RESETHAND;
	sigaction(SIGSEGV, &action, NULL);
	if (!sigsetjmp(env, 1))
		(void)*(volatile char *)wild;
	show("used up", SIGSEGV);
	action.sa_sigaction = third;
	sigaction(SIGSEGV, &action, NULL);
	kill(getpid(), SIGSEGV);
	printf("sent %d\n", (int)count);
	signal(SIGSEGV, SIG_IGN);
	kill(getpid(), SIGSEGV);
	printf("ignored, was %s\n", name(signal(SIGSEGV, SIG_DFL)));
}

static void child(const char *what, handler h, int sends)
{
	fflush(stdout);
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, h);
		if (sends)
			kill(getpid(), SIGSEGV);
		else
			*(volatile int *)8 = 1;
		_exit(3);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	printf("%s: %s %d\n", what, WIFSIGNALED(status) ? "killed" : "exit",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	ordinary();
	masks();
	faults();
	child("wild", SIG_DFL, 0);
	child("wild, ignored", SIG_IGN, 0);
	child("sent", SIG_DFL, 1);
	child("sent, ignored", SIG_IGN, 1);
	return 0;
}
