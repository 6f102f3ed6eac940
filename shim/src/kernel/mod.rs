//! What programs written in the kernel's manner call: the exports behind
//! `deadwalk/spinlock.h` and `deadwalk/slab.h`.
//!
//! | file | is |
//! |---|---|
//! | `lock` | spin locks that know their holder |
//! | `waiters` | who waits for which of our locks, and where |
//! | `holder` | who holds what a thread is blocked on: ours, or a pthread mutex |
//! | `mutex` | a sleeping thread's system call and a mutex's bytes: whose is it |
//! | `slab` | kmalloc and object caches over the watched heap |

pub mod holder;
pub mod lock;
mod mutex;
mod slab;
mod waiters;
