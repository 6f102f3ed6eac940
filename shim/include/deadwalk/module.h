/*
 * deadwalk: what a kernel module says of itself. module_init and module_exit
 * give their functions the names init_module and cleanup_module, as in a real
 * module; a loader, or the program's main, calls those.
 */
#ifndef DEADWALK_MODULE_H
#define DEADWALK_MODULE_H

#include <deadwalk/kernel.h>

/* C++'s own library uses both as names of arguments. */
#ifndef __cplusplus
#ifndef __init
#define __init
#endif
#ifndef __exit
#define __exit
#endif
#ifndef __initdata
#define __initdata
#endif
#ifndef __exitdata
#define __exitdata
#endif
#endif

/* The functions that nobody calls: another type of f is an error. */
#ifdef __cplusplus
#define DEADWALK_ENTRY(type, name, f) \
	extern "C" type name(void) \
	{ \
		return f(); \
	} \
	struct deadwalk_nothing
#else
#define DEADWALK_ENTRY(type, name, f) \
	static __inline__ __attribute__((unused)) type (*deadwalk_##name(void))(void) \
	{ \
		return f; \
	} \
	extern type name(void); \
	type name(void) __attribute__((alias(#f)))
#endif
#define module_init(f) DEADWALK_ENTRY(int, init_module, f)
#define module_exit(f) DEADWALK_ENTRY(void, cleanup_module, f)

#define DEADWALK_NOTHING struct deadwalk_nothing
#define MODULE_LICENSE(text) DEADWALK_NOTHING
#define MODULE_AUTHOR(text) DEADWALK_NOTHING
#define MODULE_DESCRIPTION(text) DEADWALK_NOTHING
#define MODULE_VERSION(text) DEADWALK_NOTHING
#define MODULE_ALIAS(text) DEADWALK_NOTHING
#define MODULE_PARM(name, type) DEADWALK_NOTHING
#define MODULE_PARM_DESC(name, text) DEADWALK_NOTHING
#define MODULE_DEVICE_TABLE(type, name) DEADWALK_NOTHING
#define module_param(name, type, mode) DEADWALK_NOTHING
#define EXPORT_SYMBOL(name) DEADWALK_NOTHING
#define EXPORT_SYMBOL_GPL(name) DEADWALK_NOTHING
#define EXPORT_NO_SYMBOLS DEADWALK_NOTHING

#define MOD_INC_USE_COUNT ((void)0)
#define MOD_DEC_USE_COUNT ((void)0)

struct module;
#define THIS_MODULE ((struct module *)0)

#endif
