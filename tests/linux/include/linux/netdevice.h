/*
 * Stub: network devices, as protocols name them and hear of them. The harness
 * makes them.
 */
#ifndef STUB_NETDEVICE_H
#define STUB_NETDEVICE_H

#include <asm/byteorder.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>

/* What a link header may need in front of a packet. */
#define MAX_HEADER 32

#define NET_RX_SUCCESS 0
#define NET_RX_DROP 1

typedef int netdev_tx_t;
typedef struct {
} netdevice_tracker;

#define htons(number) __cpu_to_be16(number)
#define ntohs(number) __be16_to_cpu(number)

/* Nothing is configured. */
#ifndef IS_ENABLED
#define IS_ENABLED(option) 0
#endif

struct packet_type;
#define IFF_UP 1

struct net_device {
	struct net_device *next;
	char name[16];
	unsigned char dev_addr[32];
	unsigned short type, hard_header_len;
	unsigned int flags;
	int carrier;
	void *ax25_ptr;
};

/* All there are: the harness's. */
extern struct net_device *net_devices;
#define for_each_netdev_rcu(net, dev) for ((dev) = net_devices; (dev); (dev) = (dev)->next)

static inline struct net_device *find_net_device(const char *name)
{
	struct net_device *dev = net_devices;

	while (dev && strcmp(dev->name, name) != 0)
		dev = dev->next;
	return dev;
}
#define __dev_get_by_name(net, name) find_net_device(name)

#define dev_hold(dev) ((void)(dev))
#define dev_put(dev) ((void)(dev))
#define netif_carrier_ok(dev) ((dev)->carrier)
#define netdev_hold(dev, tracker, gfp) ((void)(dev))
#define netdev_put(dev, tracker) ((void)(dev))

enum { NETDEV_UP = 1, NETDEV_DOWN, NETDEV_CHANGE = 4, NETDEV_GOING_DOWN = 9 };

#define NOTIFY_DONE 0

struct notifier_block {
	int (*notifier_call)(struct notifier_block *, unsigned long, void *);
};

/* The harness's: it keeps the only one and calls it with the device. */
extern int register_netdevice_notifier(struct notifier_block *);
extern int unregister_netdevice_notifier(struct notifier_block *);
#define netdev_notifier_info_to_dev(info) ((struct net_device *)(info))

/* There is one namespace. */
struct net {
	int number;
};
extern struct net init_net;
#define dev_net(dev) ((void)(dev), &init_net)
#define net_eq(a, b) ((a) == (b))

#endif
