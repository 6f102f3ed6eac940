/*
 * Runs net/ax25's timers: connections without a socket, as NET/ROM and ROSE make
 * them, and a device that goes down under them. Then each is disconnected, its
 * timers deleted, and the last reference frees it, as in ax25_kill_by_device(). But
 * ax25_dev is not cleared before: a handler that is late would end the program by
 * that, before it is seen what else it does.
 *
 * T3 and the idle timer are off. With -DT3 the first runs too, and its handler starts
 * T1, which ax25_disconnect() has deleted before it.
 */
#include <net/ax25.h>

#include "harness.h"

#define ROUNDS 12
/* Few, so that a disconnect often meets a handler of the only timer thread. */
#define CONNECTIONS 4

static struct net_device port = { .name = "ax0", .hard_header_len = MAX_HEADER };
static ax25_dev device = { .dev = &port, .device_up = true };
static HLIST_HEAD(connections);
static unsigned long frames, failures;

/* What the rest of the protocol does with a frame and with an error. */
void ax25_transmit_buffer(ax25_cb *ax25, struct sk_buff *skb, int type)
{
	(void)ax25;
	(void)type;
	__sync_fetch_and_add(&frames, 1);
	kfree_skb(skb);
}

void ax25_link_failed(ax25_cb *ax25, int reason)
{
	(void)ax25;
	(void)reason;
	failures++;
}

/* A heartbeat that finds its connection closed ends here. */
void ax25_destroy_socket(ax25_cb *ax25)
{
	(void)ax25;
}

static void new_connection(void)
{
	ax25_cb *ax25 = kzalloc(sizeof(*ax25), GFP_KERNEL);

	BUG_ON(!ax25);
	skb_queue_head_init(&ax25->write_queue);
	skb_queue_head_init(&ax25->reseq_queue);
	skb_queue_head_init(&ax25->ack_queue);
	skb_queue_head_init(&ax25->frag_queue);
	refcount_set(&ax25->refcount, 1);
	ax25_setup_timers(ax25);
	ax25->ax25_dev = &device;
	ax25->modulus = AX25_MODULUS;
	ax25->state = random_below(2) ? AX25_STATE_1 : AX25_STATE_3;
	ax25->n2 = 255;
	ax25->rtt = 1 + random_below(2);
	ax25->t2 = 1 + random_below(3);
#ifdef T3
	ax25->t3 = 1 + random_below(3);
#endif
	ax25->condition = AX25_COND_ACK_PENDING;
	hlist_add_head(&ax25->ax25_node, &connections);

	ax25_calculate_t1(ax25);
	ax25_start_heartbeat(ax25);
	ax25_start_t1timer(ax25);
	ax25_start_t2timer(ax25);
	ax25_start_t3timer(ax25);
	ax25_start_idletimer(ax25);
}

static void device_down(void)
{
	struct hlist_node *next;
	ax25_cb *ax25;

	hlist_for_each_entry_safe(ax25, next, &connections, ax25_node) {
		ax25_disconnect(ax25, ENETUNREACH);
		hlist_del_init(&ax25->ax25_node);
		ax25_cb_put(ax25);
		random_phase();
	}
}

int main(int argc, char **argv)
{
	harness_start(argc, argv);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < CONNECTIONS; i++)
			new_connection();
		random_phase();
		device_down();
	}
	printf("frames %s, failures %lu\n", frames ? "sent" : "none", failures);
	return 0;
}
