/*
 * A network card, as drivers of 2.4 were: the private part of the device is
 * kmalloc'ed, holds the timer of the transmit timeout, and is freed by close().
 */
#include "bench.h"
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <asm/io.h>

#ifdef FIXED
#define stop_timer(timer) del_timer_sync(timer)
#else
#define stop_timer(timer) del_timer(timer)
#endif

#define TX_TIMEOUT 1
#define RESET 0x04

/* As much of one as the driver uses. */
struct net_device {
	char name[16];
	unsigned long base_addr;
	unsigned long trans_start;
	void *priv;
	int (*open)(struct net_device *);
	int (*hard_start_xmit)(const void *data, int length, struct net_device *);
	int (*stop)(struct net_device *);
};

struct ether_private {
	struct timer_list tx_timer;
	spinlock_t lock;
	int tx_queued;
};

static volatile int timeouts;

static void ether_tx_timeout(unsigned long data)
{
	struct net_device *dev = (struct net_device *)data;
	struct ether_private *lp = dev->priv;

	outb(RESET, dev->base_addr);
	if (lp->tx_queued)
		timeouts++;
}

static int ether_open(struct net_device *dev)
{
	struct ether_private *lp = kmalloc(sizeof(*lp), GFP_KERNEL);

	if (!lp)
		return -ENOMEM;
	memset(lp, 0, sizeof(*lp));
	spin_lock_init(&lp->lock);
	init_timer(&lp->tx_timer);
	lp->tx_timer.function = ether_tx_timeout;
	lp->tx_timer.data = (unsigned long)dev;
	dev->priv = lp;
	MOD_INC_USE_COUNT;
	return 0;
}

static int ether_xmit(const void *data, int length, struct net_device *dev)
{
	struct ether_private *lp = dev->priv;
	const unsigned char *byte = data;
	unsigned long flags;

	spin_lock_irqsave(&lp->lock, flags);
	while (length--)
		outb(*byte++, dev->base_addr);
	lp->tx_queued++;
	dev->trans_start = jiffies;
	mod_timer(&lp->tx_timer, jiffies + TX_TIMEOUT);
	spin_unlock_irqrestore(&lp->lock, flags);
	return 0;
}

static int ether_close(struct net_device *dev)
{
	struct ether_private *lp = dev->priv;

	stop_timer(&lp->tx_timer);
	dev->priv = NULL;
	kfree(lp);
	MOD_DEC_USE_COUNT;
	return 0;
}

static struct net_device the_device = {
	name: "eth0",
	base_addr: 0x300,
	open: ether_open,
	hard_start_xmit: ether_xmit,
	stop: ether_close,
};

void device_out(unsigned char value, unsigned long port)
{
	(void)value;
	(void)port;
	bench_device_out();
}

int main(int argc, char **argv)
{
	struct net_device *dev = &the_device;

#ifdef FIXED
	bench_start(argc, argv, 1);
#else
	bench_start(argc, argv, 0);
#endif
	saw(dev->open(dev) == 0 && MOD_IN_USE, "%s is up", dev->name);
	saw(dev->hard_start_xmit("frame", 5, dev) == 0, "a frame is queued");
	bench_wait_for_handler();
	saw(dev->stop(dev) == 0 && !MOD_IN_USE && !dev->priv, "%s is down", dev->name);
	return bench_end();
}
