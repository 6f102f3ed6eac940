/*
 * deadwalk: devices, of which there are none. A port reads as an empty bus does, and
 * what is written is lost; memory-mapped registers are the program's memory. A
 * program that simulates a device defines these names itself, before or after.
 */
#ifndef DEADWALK_IO_H
#define DEADWALK_IO_H

/* The C library's functions of these names are the processor's instructions. */
#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<sys/io.h>)
#include <sys/io.h>
#endif
#endif

static __inline__ unsigned int deadwalk_port_in(unsigned long port, unsigned int empty)
{
	(void)port;
	return empty;
}

static __inline__ void deadwalk_port_out(unsigned long value, unsigned long port)
{
	(void)value;
	(void)port;
}

#ifndef inb
#define inb(port) ((unsigned char)deadwalk_port_in(port, 0xffu))
#define inw(port) ((unsigned short)deadwalk_port_in(port, 0xffffu))
#define inl(port) deadwalk_port_in(port, ~0u)
#define inb_p(port) inb(port)
#define outb(value, port) deadwalk_port_out(value, port)
#define outw(value, port) deadwalk_port_out(value, port)
#define outl(value, port) deadwalk_port_out(value, port)
#define outb_p(value, port) outb(value, port)
#endif

#ifndef readb
#define readb(p) (*(const volatile unsigned char *)(p))
#define readw(p) (*(const volatile unsigned short *)(p))
#define readl(p) (*(const volatile unsigned int *)(p))
#define writeb(value, p) ((void)(*(volatile unsigned char *)(p) = (value)))
#define writew(value, p) ((void)(*(volatile unsigned short *)(p) = (value)))
#define writel(value, p) ((void)(*(volatile unsigned int *)(p) = (value)))
#endif
#ifndef ioread8
#define ioread8(p) readb(p)
#define ioread16(p) readw(p)
#define ioread32(p) readl(p)
#define iowrite8(value, p) writeb(value, p)
#define iowrite16(value, p) writew(value, p)
#define iowrite32(value, p) writel(value, p)
#endif

#endif
