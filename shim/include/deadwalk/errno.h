/*
 * deadwalk: error numbers. Not the variable: <errno.h> makes a macro of `errno`,
 * which some code has a variable of its own for.
 */
#ifndef DEADWALK_ERRNO_H
#define DEADWALK_ERRNO_H

#include <asm/errno.h>

/* Those that no system call returns. */
#ifndef ERESTARTSYS
#define ERESTARTSYS 512
#endif
#ifndef ERESTARTNOINTR
#define ERESTARTNOINTR 513
#endif
#ifndef ERESTARTNOHAND
#define ERESTARTNOHAND 514
#endif
#ifndef ENOIOCTLCMD
#define ENOIOCTLCMD 515
#endif
#ifndef EPROBE_DEFER
#define EPROBE_DEFER 517
#endif
#ifndef ENOTSUPP
#define ENOTSUPP 524
#endif

#endif
