/*
 * Reads of freed data in a program that has handlers of its own for SIGSEGV or SIGTRAP,
 * blocks signals, has a small alternate stack or forks: stale_handlers HOW. Prints how
 * often it read, how often the value was wrong, and what its handlers got.
 */
#include "gates.h"

#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define POISON 0x6b6b6b6b6b6b6b6bul
#define PAGE 4096
/* What programs give that know no better (SIGSTKSZ, before it was asked of the kernel). */
#define SMALL_STACK 8192

static volatile uint64_t *data;
static char *page;
static volatile sig_atomic_t reads, wrong, faults, traps;
/* The handler of SIGSEGV reads too, for which the signal must not be blocked there. */
static int nests;

static void nothing(union sigval value)
{
	(void)value;
}

/* A timer's data that was freed when the timer was gone. */
static void free_data(void)
{
	timer_t timer;

	data = malloc(64);
	timer = new_timer(nothing, (void *)data);
	if (timer_delete(timer))
		die("timer_delete");
	free((void *)data);
}

static __attribute__((noinline)) void read_freed(void)
{
	wrong += data[reads % 8 == 7 ? 6 : reads % 8] != POISON;
	reads++;
}

static void opens_page(int number)
{
	(void)number;
	faults++;
	if (mprotect(page, PAGE, PROT_READ | PROT_WRITE))
		_exit(9);
	if (nests)
		read_freed();
}

static void opens_page_info(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_addr != page)
		_exit(8);
	opens_page(number);
}

static void counts_traps(int number)
{
	(void)number;
	traps++;
	read_freed();
}

/* A fault of the program's own, which its handler settles. */
static void own_fault(void)
{
	if (mprotect(page, PAGE, PROT_NONE))
		die("mprotect");
	*(volatile char *)page = 1;
}

static void handle(int number, int flags)
{
	struct sigaction action = { .sa_flags = flags };

	if (flags & SA_SIGINFO)
		action.sa_sigaction = opens_page_info;
	else
		action.sa_handler = number == SIGTRAP ? counts_traps : opens_page;
	if (sigaction(number, &action, NULL))
		die("sigaction");
}

static void read_and_fault(void)
{
	read_freed();
	own_fault();
	read_freed();
}

static void *with_all_blocked(void *unused)
{
	sigset_t set;

	sigfillset(&set);
	if (pthread_sigmask(SIG_SETMASK, &set, NULL))
		die("pthread_sigmask");
	read_freed();
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		die("sigprocmask");
	read_freed();
	return unused;
}

static void in_a_child(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		read_freed();
		read_freed();
		_exit(wrong ? 1 : 4);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		die("waitpid");
	printf("child %d\n", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	stack_t stack = { .ss_sp = malloc(SMALL_STACK), .ss_size = SMALL_STACK };
	pthread_t thread;

	page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		die("mmap");
	if (!strcmp(how, "before")) {
		handle(SIGSEGV, SA_SIGINFO);
		free_data();
		read_and_fault();
	} else if (!strcmp(how, "after")) {
		free_data();
		read_freed();
		handle(SIGSEGV, SA_SIGINFO);
		read_and_fault();
	} else if (!strcmp(how, "nodefer")) {
		nests = 1;
		handle(SIGSEGV, SA_NODEFER);
		free_data();
		read_and_fault();
	} else if (!strcmp(how, "signal")) {
		signal(SIGSEGV, opens_page);
		free_data();
		read_and_fault();
		own_fault();
	} else if (!strcmp(how, "reset-hand")) {
		handle(SIGSEGV, SA_RESETHAND);
		free_data();
		for (int i = 0; i < 5; i++)
			read_freed();
		read_and_fault();
	} else if (!strcmp(how, "stack")) {
		if (sigaltstack(&stack, NULL))
			die("sigaltstack");
		handle(SIGSEGV, SA_ONSTACK | SA_SIGINFO);
		free_data();
		read_and_fault();
	} else if (!strcmp(how, "trap")) {
		handle(SIGTRAP, 0);
		free_data();
		read_freed();
		__asm__ volatile("int3");
		raise(SIGTRAP);
		read_freed();
	} else if (!strcmp(how, "blocked")) {
		free_data();
		if (pthread_create(&thread, NULL, with_all_blocked, NULL))
			die("pthread_create");
		pthread_join(thread, NULL);
		with_all_blocked(NULL);
	} else if (!strcmp(how, "child")) {
		free_data();
		in_a_child();
		read_freed();
	} else {
		free_data();
		for (int i = 0; i < 5; i++)
			read_freed();
	}
	printf("reads %d wrong %d faults %d traps %d\n", reads, wrong, faults, traps);
	return 0;
}
