/* What p12_unload.c and p12_module.c share. The gates are the program's, for they
 * outlive the library. */
#ifndef P12_MODULE_H
#define P12_MODULE_H
#include "timers.h"

struct module_gates {
	sem_t entered, go, done;
	_Atomic pid_t tid;
};
#endif
