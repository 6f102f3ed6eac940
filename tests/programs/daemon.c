/*
 * A daemon: closes 0 to 2 and opens files of its own there, then makes errors
 * worth a line on stderr. Nobody else may write into its files. daemon DIR
 */
#include "gates.h"
#include <fcntl.h>
#include <sys/stat.h>

static sem_t entered, go, done;

static void handler(union sigval value)
{
	(void)value;
	gate_open(&entered);
	gate_pass(&go);
	gate_open(&done);
}

int main(int argc, char **argv)
{
	char name[4096];
	char *volatile block;
	timer_t timer;

	if (argc < 2)
		return 2;
	gate_init(&entered);
	gate_init(&go);
	gate_init(&done);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	for (int fd = 0; fd < 3; fd++) {
		snprintf(name, sizeof name, "%s/file%d", argv[1], fd);
		if (open(name, O_RDWR | O_CREAT | O_TRUNC, 0600) != fd)
			return 1;
		if (write(fd, "mine\n", 5) != 5)
			return 1;
	}
	block = malloc(64);
	timer = new_timer(handler, block);
	arm(timer, 0);
	gate_pass(&entered);
	timer_delete(timer);
	free(block);
	gate_open(&go);
	gate_pass(&done);
	free(block); /* a double free as well */
	return 0;
}
