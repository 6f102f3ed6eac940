//! What may stand in a `timer_list`, and how it is told apart.

use deadwalk_detector::Kind;
use deadwalk_detector::options::DelPolicy::Async;

use super::host::{SITE, peek, poke};
use super::rig::{Kernel, POLICIES, Rig, error, info};
use crate::Settings;
use crate::host::{Count, Trash};
use crate::layout::{FREE_WORD, INUSE_WORD, STATIC_OLD};

/// Every call that looks at a timer before it acts; each must return 0.
const CALLS: [fn(&Kernel, usize) -> i32; 6] = [
    |k, t| k.arm(t, crate::Arm::Add),
    |k, t| k.modify(t, 1),
    |k, t| k.modify_pending(t, 1),
    |k, t| k.pending(t),
    |k, t| k.del(t),
    |k, t| k.del_sync(t),
];

/// Every call on `timer` is refused for that reason, and writes nothing.
fn refused(rig: &Rig, timer: usize, kind: Kind, trash: Trash) {
    let before = rig.words(timer);
    for call in CALLS {
        let counted = rig.engine.host.counted(Count::Trashed(trash));
        assert_eq!(call(rig, timer), 0);
        assert_eq!(rig.found(), [error(kind)]);
        assert_eq!(rig.engine.host.counted(Count::Trashed(trash)), counted + 1);
    }
    assert_eq!(rig.words(timer), before, "its storage is left alone");
}

fn set_links(timer: usize, (next, prev): (usize, usize)) {
    poke(timer, next);
    poke(timer + 8, prev);
}

fn links(timer: usize) -> (usize, usize) {
    (peek(timer), peek(timer + 8))
}

#[test]
fn memory_that_was_never_written() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let heap = rig.engine.host.alloc(64);
        refused(&rig, heap, Kind::UninitUse, Trash::Uninit);
        // The left-over of the block's last life is no better.
        (0..48).step_by(8).for_each(|offset| poke(heap + offset, FREE_WORD));
        refused(&rig, heap, Kind::UninitUse, Trash::Uninit);
    }
}

#[test]
fn garbage_of_all_kinds() {
    let rig = Rig::new(Async);
    let stack = rig.memory();
    for word in [usize::MAX, 0x1234_5678, FREE_WORD, INUSE_WORD, 1 << 63, 8] {
        set_links(stack, (word, word));
        poke(stack + 32, 0x4000);
        refused(&rig, stack, Kind::UninitUse, Trash::Uninit);
        set_links(stack, (0, word | 4));
        refused(&rig, stack, Kind::UninitUse, Trash::Uninit);
        set_links(stack, (word, 0));
        refused(&rig, stack, Kind::UninitUse, Trash::Uninit);
    }
    set_links(stack, (0, STATIC_OLD));
    assert_eq!(rig.pending(stack), 0, "the older marker of static initialisers is sound");
}

#[test]
fn memory_that_was_freed() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.heap_timer();
        rig.free(timer);
        refused(&rig, timer, Kind::ApiUseAfterFree, Trash::Freed);
        rig.setup(timer);
        assert_eq!(rig.found(), [error(Kind::ApiUseAfterFree)]);
    }
}

/// The heap is asked, whatever the bytes are; so the bytes are not even read.
#[test]
fn freed_memory_that_still_looks_sound() {
    let rig = Rig::new(Async);
    let block = rig.engine.host.alloc(64);
    rig.free(block);
    (0..48).step_by(8).for_each(|offset| poke(block + offset, 0));
    refused(&rig, block, Kind::ApiUseAfterFree, Trash::Freed);
}

#[test]
fn memory_that_is_not_there() {
    let rig = Rig::new(Async);
    let gone = rig.memory();
    rig.engine.host.unmap(gone);
    for addr in [0, 8, 4088, gone, gone + 1, gone | 4, 1 << 47, usize::MAX - 47, 1 << 63] {
        for call in CALLS {
            assert_eq!(rig_call(&rig, call, addr), 0, "{addr:#x}");
            assert_eq!(rig.found(), [error(Kind::UninitUse)]);
        }
        rig.setup(addr);
        rig.engine.destroy_on_stack(addr, SITE);
        assert_eq!(rig.found(), [error(Kind::UninitUse); 2]);
        rig.engine.exit_handler(addr);
    }
}

/// `add` of the rig writes `expires`; these must not.
fn rig_call(rig: &Rig, call: fn(&Kernel, usize) -> i32, addr: usize) -> i32 {
    call(rig, addr)
}

#[test]
fn the_copy_of_a_pending_timer() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let (timer, copy) = (rig.timer(), rig.memory());
        rig.add(timer, 1);
        (0..48).step_by(8).for_each(|offset| poke(copy + offset, peek(timer + offset)));
        refused(&rig, copy, Kind::TimerCopied, Trash::Copied);
        assert_eq!(rig.advance(1), 1, "the original expires");
    }
}

#[test]
fn the_copy_of_an_inactive_timer_is_a_timer() {
    let rig = Rig::new(Async);
    let (timer, copy) = (rig.timer(), rig.memory());
    (0..48).step_by(8).for_each(|offset| poke(copy + offset, peek(timer + offset)));
    assert_eq!(rig.modify(copy, 1), 0);
    assert_eq!(rig.modify(timer, 1), 0);
    assert_eq!(rig.advance(1), 2);
}

/// How a pending timer is found at its expiry, after this was done to it.
fn at_expiry(spoil: impl Fn(&Rig, usize), kind: Kind, trash: Trash) {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        rig.add(timer, 1);
        spoil(&rig, timer);
        let before = rig.words(timer);
        assert_eq!(rig.advance(2), 0, "its handler is not called");
        assert_eq!(rig.found(), [error(kind)]);
        assert_eq!(rig.engine.host.counted(Count::Trashed(trash)), 1);
        assert_eq!(rig.engine.host.counted(Count::Refused), 1);
        assert_eq!(rig.engine.books().refused, 1);
        assert_eq!(rig.words(timer), before);
    }
}

#[test]
fn at_expiry_a_wiped_timer() {
    let wipe = |_: &Rig, t| (0..48).step_by(8).for_each(|offset| poke(t + offset, 0));
    at_expiry(wipe, Kind::TimerWiped, Trash::Wiped);
    // Initialised again by other means than our functions.
    at_expiry(|_, t| set_links(t, (0, STATIC_OLD)), Kind::TimerWiped, Trash::Wiped);
}

/// Also one in a block that is watched, whose bytes were those of an idle timer.
#[test]
fn at_expiry_a_timer_that_was_put_back_to_what_it_was_before() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.heap_timer();
        let before = links(timer);
        rig.add(timer, 1);
        set_links(timer, before);
        assert_eq!(rig.advance(2), 0, "its handler is not called");
        assert_eq!(rig.found(), [error(Kind::TimerWiped)]);
        assert_eq!(rig.engine.host.counted(Count::Trashed(Trash::Wiped)), 1);
    }
}

#[test]
fn at_expiry_a_clobbered_timer() {
    let clobber = |_: &Rig, t| set_links(t, (usize::MAX, usize::MAX));
    at_expiry(clobber, Kind::TimerClobbered, Trash::Clobbered);
    at_expiry(|_, t| poke(t, peek(t) ^ 1), Kind::TimerClobbered, Trash::Clobbered);
    at_expiry(|_, t| poke(t + 8, peek(t + 8) ^ 1), Kind::TimerClobbered, Trash::Clobbered);
}

#[test]
fn at_expiry_a_timer_that_another_was_copied_over() {
    let copy_over = |rig: &Rig, timer| {
        let other = rig.timer();
        rig.add(other, 50);
        set_links(timer, links(other));
        rig.del(other);
    };
    at_expiry(copy_over, Kind::TimerCopied, Trash::Copied);
}

/// A pending timer that was trashed is not touched by calls; it still counts as
/// pending until it expires.
#[test]
fn calls_on_a_pending_timer_that_was_trashed() {
    for (word, kind, trash) in [
        (0, Kind::TimerWiped, Trash::Wiped),
        (0x1111, Kind::TimerClobbered, Trash::Clobbered),
        (FREE_WORD, Kind::UninitUse, Trash::Uninit),
        (INUSE_WORD, Kind::UninitUse, Trash::Uninit),
    ] {
        let rig = Rig::new(Async);
        let timer = rig.timer();
        rig.add(timer, 1);
        let sound = links(timer);
        set_links(timer, (word, word));
        refused(&rig, timer, kind, trash);
        assert_eq!(rig.engine.pending_count(), 1);
        // Repaired, it is as before.
        set_links(timer, sound);
        assert_eq!(rig.del(timer), 1);
    }
}

/// An old canary put back after the timer was detached names nothing that is.
#[test]
fn a_stale_canary() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    rig.add(timer, 1);
    let armed = links(timer);
    rig.del(timer);
    set_links(timer, armed);
    refused(&rig, timer, Kind::TimerClobbered, Trash::Clobbered);
    rig.setup(timer);
    rig.add(timer, 1);
    set_links(timer, armed);
    refused(&rig, timer, Kind::TimerClobbered, Trash::Clobbered);
    rig.setup(timer);
    assert_eq!(rig.found(), [error(Kind::ReinitPending)]);
}

/// Memory unmapped under a pending timer: nothing is read at its expiry.
#[test]
fn a_pending_timer_whose_memory_went() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        rig.add(timer, 1);
        rig.engine.host.unmap(timer);
        assert_eq!(rig.advance(1), 0);
        assert_eq!(rig.found(), [error(Kind::TimerClobbered)]);
    }
}

#[test]
fn without_the_free_hook_the_expiry_finds_the_free() {
    for policy in POLICIES {
        let settings = Settings { hook_free: false, ..Settings::DEFAULT };
        let rig = Rig::with(policy, settings);
        let timer = rig.heap_timer();
        rig.add(timer, 1);
        rig.free(timer);
        assert_eq!(rig.found(), []);
        assert_eq!(rig.advance(1), 0);
        assert_eq!(rig.found(), [error(Kind::ExpireAfterFree)]);
        assert_eq!(rig.engine.books().refused, 1);
        // Before its expiry a call finds it.
        let timer = rig.heap_timer();
        rig.add(timer, 1);
        rig.free(timer);
        refused(&rig, timer, Kind::ApiUseAfterFree, Trash::Freed);
        assert_eq!(rig.advance(1), 0);
        assert_eq!(rig.found(), [error(Kind::ExpireAfterFree)]);
    }
}

/// Zeroed memory where a timer was known is that timer, wiped while inactive.
#[test]
fn an_inactive_timer_may_be_zeroed() {
    let rig = Rig::new(Async);
    let timer = rig.legacy();
    rig.modify(timer, 1);
    assert_eq!(rig.found(), [info(Kind::StaticUninit)]);
    assert_eq!(rig.del(timer), 1);
    set_links(timer, (0, 0));
    assert_eq!(rig.modify(timer, 1), 0);
    assert_eq!(rig.advance(1), 1);
}

/// A block too small for a timer: nothing behind its end is looked at.
#[test]
fn a_heap_block_that_holds_no_timer() {
    for (size, is_enough) in [(8, false), (32, false), (40, true)] {
        let rig = Rig::new(Async);
        let block = rig.engine.host.alloc(size);
        rig.engine.host.forbid(block + size, 64);
        assert_eq!(rig.modify(block, 1), 0);
        assert_eq!(rig.found(), [error(Kind::UninitUse)]);
        assert_eq!(
            rig.engine.host.counted(Count::Trashed(Trash::Uninit)),
            usize::from(is_enough),
            "only what was looked at is counted"
        );
        rig.setup(block);
        assert_eq!(rig.found(), [error(Kind::UninitUse)], "init writes all 48 bytes");
    }
}
