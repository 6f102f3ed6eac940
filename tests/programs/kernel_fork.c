/*
 * A fork while another thread is in a section and holds the big kernel lock: the
 * child, which has no such thread, takes both.
 */
#include "gates.h"
#include <linux/interrupt.h>
#include <linux/smp_lock.h>
#include <sys/wait.h>

static sem_t held, go;

static void *holder(void *unused)
{
	cli();
	lock_kernel();
	gate_open(&held);
	gate_pass(&go);
	unlock_kernel();
	sti();
	return unused;
}

int main(void)
{
	pthread_t thread;
	int status;
	pid_t child;

	gate_init(&held);
	gate_init(&go);
	if (pthread_create(&thread, NULL, holder, NULL))
		die("pthread_create");
	gate_pass(&held);
	printf("before %d %d\n", irqs_disabled(), kernel_locked());
	fflush(stdout);
	child = fork();
	if (child == 0) {
		cli();
		lock_kernel();
		_exit(irqs_disabled() && kernel_locked() ? 0 : 1);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		die("fork");
	gate_open(&go);
	pthread_join(thread, NULL);
	cli();
	printf("child %d, parent %d\n", status, irqs_disabled());
	sti();
	return 0;
}
