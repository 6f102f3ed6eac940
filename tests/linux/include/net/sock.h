/*
 * Stub: the part of a socket that protocols' timers look at. Its lock is one spin
 * lock, for users and timers alike; it goes with its last reference.
 */
#ifndef STUB_SOCK_H
#define STUB_SOCK_H

#include <linux/netdevice.h>
#include <linux/refcount.h>
#include <linux/skbuff.h>
#include <linux/timer.h>
#include <linux/uidgid.h>
#include <net/tcp_states.h>

#define RCV_SHUTDOWN 1
#define SEND_SHUTDOWN 2

enum sock_flags { SOCK_DEAD, SOCK_DONE, SOCK_DESTROY = 4 };

struct sock {
	spinlock_t lock;
	refcount_t sk_refcnt;
	unsigned long sk_flags;
	unsigned char sk_state, sk_shutdown;
	int sk_err, sk_rcvbuf;
	atomic_t sk_rmem_alloc;
	struct sk_buff_head sk_receive_queue, sk_write_queue;
	struct timer_list sk_timer;
	void (*sk_state_change)(struct sock *);
	void (*sk_destruct)(struct sock *);
};

#define sock_flag(sk, flag) ((int)((sk)->sk_flags >> (flag) & 1))
#define sock_set_flag(sk, flag) ((void)((sk)->sk_flags |= 1UL << (flag)))
#define sock_hold(sk) refcount_inc(&(sk)->sk_refcnt)

static inline void sock_put(struct sock *sk)
{
	if (!refcount_dec_and_test(&sk->sk_refcnt))
		return;
	if (sk->sk_destruct)
		sk->sk_destruct(sk);
	kfree(sk);
}

#define lock_sock(sk) spin_lock(&(sk)->lock)
#define release_sock(sk) spin_unlock(&(sk)->lock)
#define bh_lock_sock(sk) spin_lock(&(sk)->lock)
#define bh_unlock_sock(sk) spin_unlock(&(sk)->lock)
#define sock_owned_by_user(sk) ((void)(sk), 0)

/* A pending timer of a socket holds it; its handler lets go at its end. */
static inline void sk_reset_timer(struct sock *sk, struct timer_list *timer,
				  unsigned long expires)
{
	if (!mod_timer(timer, expires))
		sock_hold(sk);
}

static inline void sk_stop_timer(struct sock *sk, struct timer_list *timer)
{
	if (del_timer(timer))
		sock_put(sk);
}

#endif
