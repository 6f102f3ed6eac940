/*
 * deadwalk: devices, of which there are none. A port reads as an empty bus does, and
 * what is written is lost; memory-mapped registers are the program's memory. A
 * program that simulates a device defines these names itself, before this.
 */
#ifndef DEADWALK_IO_H
#define DEADWALK_IO_H

/* The C library's functions of these names are the processor's instructions. They
 * must come before any macro of such a name. */
#if defined(__x86_64__) && defined(__has_include) && !defined(inb) && !defined(outb)
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
#endif
#ifndef inw
#define inw(port) ((unsigned short)deadwalk_port_in(port, 0xffffu))
#endif
#ifndef inl
#define inl(port) deadwalk_port_in(port, ~0u)
#endif
#ifndef inb_p
#define inb_p(port) inb(port)
#endif
#ifndef outb
#define outb(value, port) deadwalk_port_out(value, port)
#endif
#ifndef outw
#define outw(value, port) deadwalk_port_out(value, port)
#endif
#ifndef outl
#define outl(value, port) deadwalk_port_out(value, port)
#endif
#ifndef outb_p
#define outb_p(value, port) outb(value, port)
#endif
#ifndef readb
#define readb(p) (*(const volatile unsigned char *)(p))
#endif
#ifndef readw
#define readw(p) (*(const volatile unsigned short *)(p))
#endif
#ifndef readl
#define readl(p) (*(const volatile unsigned int *)(p))
#endif
#ifndef writeb
#define writeb(value, p) ((void)(*(volatile unsigned char *)(p) = (value)))
#endif
#ifndef writew
#define writew(value, p) ((void)(*(volatile unsigned short *)(p) = (value)))
#endif
#ifndef writel
#define writel(value, p) ((void)(*(volatile unsigned int *)(p) = (value)))
#endif
#ifndef ioread8
#define ioread8(p) readb(p)
#endif
#ifndef ioread16
#define ioread16(p) readw(p)
#endif
#ifndef ioread32
#define ioread32(p) readl(p)
#endif
#ifndef iowrite8
#define iowrite8(value, p) writeb(value, p)
#endif
#ifndef iowrite16
#define iowrite16(value, p) writew(value, p)
#endif
#ifndef iowrite32
#define iowrite32(value, p) writel(value, p)
#endif

#endif
