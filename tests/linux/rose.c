/*
 * Runs net/rose's neighbours, a list whose members have two timers each: routes
 * are added, T0 repeats the request to restart the link, which nobody answers, and
 * at random phases of it routes are deleted, or the device goes down under all.
 */
#include <linux/if_arp.h>
#include <linux/sockios.h>
#include <net/rose.h>

#include "harness.h"

#define ROUNDS 12
/* Few, so that a delete often meets a handler of the only timer thread. */
#define NEIGHBOURS 4

static struct net_device port = {
	.name = "ax0",
	.type = ARPHRD_AX25,
	.flags = IFF_UP,
	.hard_header_len = MAX_HEADER,
};
struct net_device *net_devices = &port;
static unsigned long frames;

/* What af_rose.c has: T0 is a tick or two long. */
ax25_address rose_callsign;
int sysctl_rose_restart_request_timeout = 1000;
int sysctl_rose_link_fail_timeout = 1000;

int rosecmp(const rose_address *a, const rose_address *b)
{
	return memcmp(a, b, sizeof(*a)) != 0;
}

/* Every mask here is of the whole address. */
int rosecmpm(const rose_address *a, const rose_address *b, unsigned short mask)
{
	BUG_ON(mask != 10);
	return rosecmp(a, b);
}

/* AX.25 has no connection and makes none: the frame stays the caller's. */
ax25_cb *ax25_send_frame(struct sk_buff *skb, int length, const ax25_address *from,
			 ax25_address *to, ax25_digi *digi, struct net_device *dev)
{
	(void)skb, (void)length, (void)from, (void)to, (void)digi, (void)dev;
	__sync_fetch_and_add(&frames, 1);
	return NULL;
}

ax25_cb *ax25_find_cb(const ax25_address *from, ax25_address *to, ax25_digi *digi,
		      struct net_device *dev)
{
	(void)from, (void)to, (void)digi, (void)dev;
	return NULL;
}

int rose_loopback_queue(struct sk_buff *skb, struct rose_neigh *neigh)
{
	(void)skb, (void)neigh;
	BUG();
	return 0;
}

static struct rose_route_struct route(int number)
{
	struct rose_route_struct route = { .mask = 10, .device = "ax0" };

	route.address.rose_addr[0] = 1 + number;
	route.neighbour.ax25_call[0] = 2 * (1 + number);
	return route;
}

/* A packet to an address makes the link to its neighbour start. */
static void send_to(int number)
{
	struct rose_route_struct way = route(number);
	struct sk_buff *skb = alloc_skb(MAX_HEADER, GFP_KERNEL);
	unsigned char cause, diagnostic;
	struct rose_neigh *neigh = rose_get_neigh(&way.address, &cause, &diagnostic, 0);

	BUG_ON(!neigh || !skb);
	skb_reserve(skb, MAX_HEADER);
	rose_transmit_link(skb, neigh);
	rose_neigh_put(neigh);
}

static void change(unsigned int command, int number)
{
	struct rose_route_struct way = route(number);

	BUG_ON(rose_rt_ioctl(command, &way));
}

int main(int argc, char **argv)
{
	harness_start(argc, argv);
	for (int round = 0; round < ROUNDS; round++) {
		sysctl_rose_restart_request_timeout = 1000 * (1 + random_below(2));
		for (int i = 0; i < NEIGHBOURS; i++) {
			change(SIOCADDRT, i);
			send_to(i);
		}
		for (int i = 0; i < NEIGHBOURS - 1; i++) {
			random_phase();
			change(SIOCDELRT, i);
		}
		random_phase();
		rose_rt_device_down(&port);
	}
	printf("frames %s\n", frames ? "sent" : "none");
	return 0;
}
