/* Stub: what a file is ready for. */
#ifndef STUB_POLL_H
#define STUB_POLL_H

#include <linux/eventpoll.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

struct file;
typedef struct {
	int number;
} poll_table;

#define poll_wait(file, queue, table) ((void)(file), (void)(queue), (void)(table))

#endif
