//! What programs written in the kernel's manner call: the exports behind
//! `deadwalk/spinlock.h`, `rwlock.h`, `irqflags.h`, `bkl.h` and `slab.h`.
//!
//! | file | is |
//! |---|---|
//! | `lock` | spin locks that know their holder |
//! | `rwlock` | reader-writer locks that know their holders |
//! | `section` | `cli` and the big kernel lock: one lock each, that its holder may take again |
//! | `futex` | sleeping and waking |
//! | `waiters` | who waits for which of our locks, and where |
//! | `holder` | who holds what a thread is blocked on: ours, or a pthread mutex |
//! | `mutex` | a sleeping thread's system call and a mutex's bytes: whose is it |
//! | `slab` | kmalloc and object caches over the watched heap |

mod futex;
pub mod holder;
mod lock;
mod mutex;
mod rwlock;
mod section;
mod slab;
mod waiters;

/// A fork child's only thread waits for nothing, and is in no section.
pub fn reset_after_fork() {
    waiters::reset_after_fork();
    section::reset_after_fork();
}
