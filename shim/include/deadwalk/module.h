/*
 * deadwalk: what a kernel module says of itself. module_init and module_exit
 * give their functions the names init_module and cleanup_module, as in a real
 * module; a loader, or the program's main, calls those.
 */
#ifndef DEADWALK_MODULE_H
#define DEADWALK_MODULE_H

#include <deadwalk/kernel.h>
#include <deadwalk/sched.h>
#include <deadwalk/smp.h>

/* C++'s own library uses some of these as names of arguments. */
#ifndef __cplusplus
#ifndef __init
#define __init
#endif
#ifndef __exit
#define __exit
#endif
#ifndef __initfunc
#define __initfunc(function) function
#endif
#ifndef __initdata
#define __initdata
#endif
#ifndef __exitdata
#define __exitdata
#endif
#ifndef __initconst
#define __initconst
#endif
#ifndef __devinit
#define __devinit
#define __devinitdata
#define __devinitconst
#define __devexit
#define __devexitdata
#define __devexit_p(f) (f)
#endif
#ifndef __exit_p
#define __exit_p(f) (f)
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

/* The kernel calls the functions of one level before those of the next; a module
 * has only one of them all. */
#define early_initcall(f) module_init(f)
#define core_initcall(f) module_init(f)
#define postcore_initcall(f) module_init(f)
#define arch_initcall(f) module_init(f)
#define subsys_initcall(f) module_init(f)
#define fs_initcall(f) module_init(f)
#define rootfs_initcall(f) module_init(f)
#define device_initcall(f) module_init(f)
#define late_initcall(f) module_init(f)
#define __initcall(f) module_init(f)
#define __exitcall(f) module_exit(f)

#define DEADWALK_NOTHING struct deadwalk_nothing
#define MODULE_LICENSE(text) DEADWALK_NOTHING
#define MODULE_AUTHOR(text) DEADWALK_NOTHING
#define MODULE_DESCRIPTION(text) DEADWALK_NOTHING
#define MODULE_VERSION(text) DEADWALK_NOTHING
#define MODULE_INFO(tag, text) DEADWALK_NOTHING
#define MODULE_FIRMWARE(name) DEADWALK_NOTHING
#define MODULE_SOFTDEP(text) DEADWALK_NOTHING
#define MODULE_IMPORT_NS(name) DEADWALK_NOTHING
#define MODULE_SUPPORTED_DEVICE(name) DEADWALK_NOTHING
#define MODULE_ALIAS(text) DEADWALK_NOTHING
#define MODULE_ALIAS_MISCDEV(minor) DEADWALK_NOTHING
#define MODULE_ALIAS_CHARDEV(major, minor) DEADWALK_NOTHING
#define MODULE_ALIAS_CHARDEV_MAJOR(major) DEADWALK_NOTHING
#define MODULE_ALIAS_BLOCKDEV_MAJOR(major) DEADWALK_NOTHING
#define MODULE_ALIAS_LDISC(number) DEADWALK_NOTHING
#define MODULE_ALIAS_NETPROTO(number) DEADWALK_NOTHING
#define MODULE_ALIAS_FS(name) DEADWALK_NOTHING
#define MODULE_PARM(name, type) DEADWALK_NOTHING
#define MODULE_PARM_DESC(name, text) DEADWALK_NOTHING
#define EXPORT_SYMBOL(name) DEADWALK_NOTHING
#define EXPORT_SYMBOL_GPL(name) DEADWALK_NOTHING
#define EXPORT_NO_SYMBOLS DEADWALK_NOTHING

/* Nobody sets parameters or matches devices: the variables keep their values.
 * But they count as used. */
#define DEADWALK_USES(name, variable, other) \
	static __inline__ __attribute__((unused)) const volatile void *deadwalk_uses_##name(void) \
	{ \
		(void)(other); \
		return (const volatile void *)&(variable); \
	} \
	struct deadwalk_nothing
#define module_param(name, type, mode) DEADWALK_USES(param_##name, name, 0)
#define module_param_named(name, variable, type, mode) DEADWALK_USES(param_##name, variable, 0)
#define module_param_array(name, type, count, mode) DEADWALK_USES(param_##name, name, count)
#define module_param_array_named(name, array, type, count, mode) \
	DEADWALK_USES(param_##name, array, count)
#define module_param_string(name, string, size, mode) DEADWALK_USES(param_##name, string, size)
#define MODULE_DEVICE_TABLE(type, name) DEADWALK_USES(table_##type##_##name, name, 0)

#define __MODULE_STRING(x) __stringify(x)

/*
 * One for each program or library that is linked from these sources. A loader finds
 * how often it is in use by dlsym(handle, "deadwalk_module_uses"), and unloads it at
 * 0 only. (The kernel's own, which never goes, is NULL.)
 */
struct module {
	volatile int uses;
	const char *name;
};

#ifdef __cplusplus
extern "C" {
#endif
__attribute__((weak, visibility("hidden"))) struct module deadwalk_this_module = {
	0, KBUILD_MODNAME
};
extern int deadwalk_module_uses(void);
__attribute__((weak)) int deadwalk_module_uses(void)
{
	return __atomic_load_n(&deadwalk_this_module.uses, __ATOMIC_ACQUIRE);
}
#ifdef __cplusplus
}
#endif

static __inline__ int deadwalk_module_use(struct module *module, int n)
{
	if (module)
		__atomic_add_fetch(&module->uses, n, __ATOMIC_SEQ_CST);
	return 1;
}

#define THIS_MODULE (&deadwalk_this_module)
#define try_module_get(module) deadwalk_module_use(module, 1)
#define __module_get(module) ((void)deadwalk_module_use(module, 1))
#define module_put(module) ((void)deadwalk_module_use(module, -1))
#define module_refcount(module) __atomic_load_n(&(module)->uses, __ATOMIC_ACQUIRE)
#define module_name(module) ((module) ? (module)->name : "kernel")

#define MOD_INC_USE_COUNT __module_get(THIS_MODULE)
#define MOD_DEC_USE_COUNT module_put(THIS_MODULE)
#define MOD_IN_USE (module_refcount(THIS_MODULE) != 0)
#define __MOD_INC_USE_COUNT(module) __module_get(module)
#define __MOD_DEC_USE_COUNT(module) module_put(module)
#define GET_USE_COUNT(module) module_refcount(module)
#define SET_MODULE_OWNER(device) ((void)((device)->owner = THIS_MODULE))

#endif
