/*
 * Runs net/lapb, the whole protocol: T1 repeats the requests of devices that get no
 * answer, T2 acknowledges what a connected one received, and they unregister at
 * random phases of both.
 */
#include <linux/if_arp.h>
#include <net/lapb.h>
#include <net/sock.h>

#include "harness.h"

#define ROUNDS 12
/* Few, so that an unregister often meets a handler of the only timer thread. */
#define WAITING 4

/* What comes from the other side: its answer to the request to connect, and its
 * first frame of data. */
static const unsigned char answer[] = { LAPB_ADDR_B, LAPB_UA | LAPB_SPF };
static const unsigned char data[] = { LAPB_ADDR_A, LAPB_I, 'x' };

struct net init_net;
static struct notifier_block *listener;
static struct net_device waiting[WAITING], connected[ROUNDS];
static unsigned long frames;
static struct timer_list gate;
static volatile int at_gate, gate_is_open;

extern int init_module(void);
extern void cleanup_module(void);

int register_netdevice_notifier(struct notifier_block *block)
{
	listener = block;
	return 0;
}

int unregister_netdevice_notifier(struct notifier_block *block)
{
	BUG_ON(block != listener);
	listener = NULL;
	return 0;
}

/* The only timer thread runs this, and nothing else, until the gate opens. */
static void stand_at_gate(struct timer_list *timer)
{
	(void)timer;
	at_gate = 1;
	while (!gate_is_open)
		usleep_range(20, 40);
}

static void hold_timers(void)
{
	timer_setup(&gate, stand_at_gate, 0);
	mod_timer(&gate, jiffies);
	while (!at_gate)
		usleep_range(20, 40);
}

static void let_timers_run(void)
{
	gate_is_open = 1;
	del_timer_sync(&gate);
}

static void transmit(struct net_device *dev, struct sk_buff *skb)
{
	(void)dev;
	__sync_fetch_and_add(&frames, 1);
	kfree_skb(skb);
}

static int receive(struct net_device *dev, struct sk_buff *skb)
{
	(void)dev;
	kfree_skb(skb);
	return NET_RX_SUCCESS;
}

static const struct lapb_register_struct callbacks = {
	.data_indication = receive,
	.data_transmit = transmit,
};

static struct sk_buff *packet(const unsigned char *bytes, size_t size)
{
	struct sk_buff *skb = alloc_skb(MAX_HEADER + size, GFP_KERNEL);

	BUG_ON(!skb);
	skb_reserve(skb, MAX_HEADER);
	memcpy(skb_put(skb, size), bytes, size);
	return skb;
}

static void start(struct net_device *dev)
{
	struct lapb_parms_struct parms;

	dev->type = ARPHRD_X25;
	dev->carrier = 1;
	BUG_ON(lapb_register(dev, &callbacks) != LAPB_OK);
	BUG_ON(lapb_getparms(dev, &parms) != LAPB_OK);
	parms.t1 = 1 + random_below(3);
	parms.t2 = 1 + random_below(3);
	parms.n2 = 200;
	BUG_ON(lapb_setparms(dev, &parms) != LAPB_OK);
}

static void connect_all(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		start(&connected[i]);
		listener->notifier_call(listener, NETDEV_UP, &connected[i]);
		lapb_data_received(&connected[i], packet(answer, sizeof(answer)));
	}
}

static void end(struct net_device *dev)
{
	random_phase();
	BUG_ON(lapb_unregister(dev) != LAPB_OK);
}

int main(int argc, char **argv)
{
	harness_start(argc, argv);
	init_module();
	/* No handler runs yet: a request and its answer are in no race. */
	hold_timers();
	connect_all();
	let_timers_run();
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < WAITING; i++)
			start(&waiting[i]);
		msleep(3);
		lapb_data_received(&connected[round], packet(data, sizeof(data)));
		for (int i = 0; i < WAITING; i++)
			end(&waiting[i]);
		end(&connected[round]);
	}
	cleanup_module();
	printf("frames %s\n", frames ? "sent" : "none");
	return 0;
}
