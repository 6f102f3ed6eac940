/*
 * A signal handler that calls stdio. What a stream does in the middle of a call is made
 * sure of by a stream whose "device" is a function of ours: the signal comes while the
 * thread is in its write, so in printf, with the stream's lock held.
 *
 *   bad        CALL in the handler, on the very stream (each call of `calls`)
 *   input      fgets is interrupted as it waits for a pipe, the handler calls fflush
 *   all        fflush(NULL) in a handler that interrupted stdout
 *   fixed      the handler sets a flag
 *   other      the handler writes to another stream
 *   locked     flockfile by the program, which calls libc under it, and no stdio
 *   computing  the handler interrupts a computation
 *   over       the handler has ended; then the device itself writes to its stream
 *   jumped     the handler, which calls nothing, is left by a jump; then as `over`
 * signal_stdio MODE [CALL]
 */
#include "gates.h"
#include <alloca.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <wchar.h>

extern void _IO_flockfile(FILE *stream);
extern void _IO_funlockfile(FILE *stream);

int __fprintf_chk(FILE *, int, const char *, ...);
int __vfprintf_chk(FILE *, int, const char *, va_list);

static FILE *stream, *other;
static const char *call;
static volatile sig_atomic_t handled, is_writing;
static int is_over, is_jumping;
static sigjmp_buf back;
static sem_t gate;
static pid_t reader;

static int vcall(int is_checked, const char *format, ...)
{
	va_list rest;
	int result;

	va_start(rest, format);
	result = is_checked ? __vfprintf_chk(stream, 1, format, rest) :
			      vfprintf(stream, format, rest);
	va_end(rest);
	return result;
}

static void do_call(void)
{
	char text[8];
	volatile size_t size = 1; /* or the compiler writes a putc of its own */

	if (!strcmp(call, "fprintf"))
		fprintf(stream, "%d %.1f %s\n", 1, 2.5, "three");
	else if (!strcmp(call, "__fprintf_chk"))
		__fprintf_chk(stream, 1, "%d %.1f\n", 1, 2.5);
	else if (!strcmp(call, "vfprintf"))
		vcall(0, "%d %.1f\n", 1, 2.5);
	else if (!strcmp(call, "__vfprintf_chk"))
		vcall(1, "%d %.1f\n", 1, 2.5);
	else if (!strcmp(call, "printf"))
		printf("%d %.1f\n", 1, 2.5);
	else if (!strcmp(call, "puts"))
		puts("x");
	else if (!strcmp(call, "putchar"))
		putchar('x');
	else if (!strcmp(call, "fputs"))
		fputs("x", stream);
	else if (!strcmp(call, "fputc"))
		fputc('x', stream);
	else if (!strcmp(call, "putc"))
		(putc)('x', stream);
	else if (!strcmp(call, "fwrite"))
		fwrite("x", size, 1, stream);
	else if (!strcmp(call, "fwrite_unlocked"))
		fwrite_unlocked("x", size, 1, stream);
	else if (!strcmp(call, "fread"))
		fread(text, 1, 1, stream);
	else if (!strcmp(call, "fgets"))
		fgets(text, sizeof text, stream);
	else if (!strcmp(call, "fgetc"))
		fgetc(stream);
	else if (!strcmp(call, "fflush"))
		fflush(stream);
	else if (!strcmp(call, "fflush_all"))
		fflush(NULL);
	else
		abort();
}

static void on_signal(int signal)
{
	(void)signal;
	if (handled++)
		return;
	if (is_jumping)
		siglongjmp(back, 1);
	if (call)
		do_call();
}

/* The stream's device: the signal comes while the stream is being written. */
static ssize_t device(void *cookie, const char *bytes, size_t size)
{
	(void)bytes;
	if (is_writing)
		return (ssize_t)size;
	is_writing = 1;
	if (is_over) {
		/* Far below what the handler left on the stack, and none of it written over. */
		volatile char *room = alloca(1 << 16);

		room[0] = 0;
		fputs("again", *(FILE **)cookie);
	} else {
		raise(SIGUSR1);
	}
	is_writing = 0;
	return (ssize_t)size;
}

static ssize_t no_input(void *cookie, char *bytes, size_t size)
{
	(void)cookie, (void)bytes, (void)size;
	return 0;
}

static FILE *device_stream(FILE **name)
{
	cookie_io_functions_t functions = { .write = device, .read = no_input };
	FILE *made = fopencookie(name, "w+", functions);

	if (!made)
		die("fopencookie");
	return made;
}

static void *interrupter(void *thread)
{
	wait_thread_asleep(reader);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	gate_pass(&gate);
	return NULL;
}

static void in_fgets(void)
{
	pthread_t me = pthread_self(), thread;
	int ends[2];
	char line[16];

	if (pipe(ends))
		die("pipe");
	stream = fdopen(ends[0], "r");
	reader = thread_id();
	pthread_create(&thread, NULL, interrupter, &me);
	/* No SA_RESTART: the call ends. */
	if (fgets(line, sizeof line, stream) || errno != EINTR)
		die("fgets");
	gate_open(&gate);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	const char *mode = argv[1];

	call = argc > 2 ? argv[2] : NULL;
	gate_init(&gate);
	sigaction(SIGUSR1, &action, NULL);
	stream = device_stream(&stream);
	if (!strcmp(mode, "bad")) {
		/* Calls that name no stream are stdout's. */
		FILE *out = stdout;

		if (!strcmp(call, "printf") || !strncmp(call, "put", 3) || strstr(call, "_all"))
			stdout = strcmp(call, "putc") ? stream : out;
		fprintf(stream, "hello\n");
		fflush(stream);
		stdout = out;
	} else if (!strcmp(mode, "input")) {
		in_fgets();
	} else if (!strcmp(mode, "fixed")) {
		fprintf(stream, "hello\n");
		fflush(stream);
		if (handled)
			fprintf(stderr, "a signal came\n");
	} else if (!strcmp(mode, "other")) {
		other = stream;
		stream = stderr;
		fprintf(other, "hello\n");
		fflush(other);
	} else if (!strcmp(mode, "locked")) {
		flockfile(stream);
		raise(SIGUSR1);
		funlockfile(stream);
		if (ftrylockfile(stream))
			die("ftrylockfile");
		handled = 0;
		raise(SIGUSR1);
		funlockfile(stream);
		/* By the older names. */
		_IO_flockfile(stream);
		handled = 0;
		raise(SIGUSR1);
		_IO_funlockfile(stream);
	} else if (!strcmp(mode, "computing")) {
		struct itimerspec soon = { .it_value = { .tv_nsec = NS_PER_MS } };
		struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
		volatile unsigned long sum = 0;
		timer_t timer;

		timer_create(CLOCK_MONOTONIC, &event, &timer);
		timer_settime(timer, 0, &soon, NULL);
		while (!handled)
			sum += sum * 3 + 1;
		timer_delete(timer);
	} else {
		is_jumping = !strcmp(mode, "jumped");
		if (!sigsetjmp(back, 1)) {
			call = NULL;
			raise(SIGUSR1);
		}
		is_over = 1;
		fprintf(stream, "hello\n");
		fflush(stream);
	}
	is_writing = 1;
	fflush(stream);
	printf("handled %d\n", handled > 0);
	return 0;
}
