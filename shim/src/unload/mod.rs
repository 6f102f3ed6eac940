//! `dlclose` under live timers.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | the call, and what is looked at before and after it |
//! | `objects.rs` | the objects that may go with it, remembered beyond their end |
//! | `bind.rs` | the calls of an object that the loader has yet to bind |
//!
//! The loader runs an object's destructors inside `dlclose`, and they may stop its
//! timers, so what is wrong is known only behind it. But then the code is gone, and
//! a handler that runs there dies at its next instruction. Therefore (`unload=keep`)
//! an object's code is *sealed* while a handler of a timer runs in it: the loader
//! forgets the object and fails to unmap it. Sealed pages stay for ever, so as few
//! objects as possible are sealed: not those that `dlclose` cannot reach, not those
//! that were there at the start, and not for timers that are only armed. Their
//! expiries are *doubtful* meanwhile (`unloads.rs` of the detector) and seal it
//! themselves, if it is still there.
//!
//! Contexts: as libc's `dlclose`; `may_call` may run in a signal handler.

mod bind;
mod objects;

use core::ffi::{c_int, c_void};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use deadwalk_detector::DETECTOR;

use crate::real::Real;
use crate::thunk::not_cancelled_at_once;
use crate::tls::keeping_errno;
use crate::{jump, modules, signal, timer_list, tls};
use objects::Unit;

pub use objects::{module_of, prepare};

static DLCLOSE: Real = Real::new(c"dlclose");

/// Option `unload=keep`.
static KEEPS: AtomicBool = AtomicBool::new(true);

/// Sets what the option says, in the constructor.
pub fn configure(keeps: bool) {
    KEEPS.store(keeps, Relaxed);
    DLCLOSE.addr();
}

export_with_site!("rsi", close, dlclose);

unsafe extern "C-unwind" fn close(handle: *mut c_void, site: usize) -> c_int {
    type Close = unsafe extern "C-unwind" fn(*mut c_void) -> c_int;
    jump::called();
    let addr = DLCLOSE.addr();
    if addr == 0 {
        return -1;
    }
    let closing = not_cancelled_at_once(|| keeping_errno(|| Closing::begin(handle)));
    // SAFETY: libc's function of this name has this type, but for what unwinds out
    // of destructors.
    let real = unsafe { core::mem::transmute::<usize, Close>(addr) };
    // SAFETY: the caller's promise.
    let result = unsafe { real(handle) };
    if let Some(closing) = closing {
        not_cancelled_at_once(|| keeping_errno(|| closing.finish(site)));
    }
    result
}

/// May the handler at `addr`, in an object that is perhaps being unloaded, be called?
/// Then it stays until the handler has ended.
pub fn may_call(addr: usize) -> bool {
    if !KEEPS.load(Relaxed) {
        return true;
    }
    objects::hold(addr);
    // The loader forgets an object before it unmaps it: what it knows now is sealed,
    // or is not being unloaded.
    modules::is_loaded(addr)
}

/// The calling thread faulted at the instruction at `addr`. If that is code which was
/// unloaded under a timer's handler, it is told: the thread may have been faster than
/// who unloads. In a signal handler.
pub fn faulted(addr: usize) {
    if let Some(run) = tls::run()
        && objects::is_gone(addr)
    {
        DETECTOR.code_missing(run);
    }
}

/// A `dlclose` that may unload code of live timers.
struct Closing {
    unit: Unit,
}

impl Closing {
    fn begin(handle: *mut c_void) -> Option<Closing> {
        DETECTOR.platform()?;
        DETECTOR.look_at_signals(&signal::handler_in_force);
        let mut live = Live::none();
        DETECTOR.each_live_handler(&mut |handler, is_running| live.add(handler, is_running));
        timer_list::each_live(&mut |handler, addr, _| {
            // Its engine asks nobody before it calls a handler or looks at a timer.
            live.add(handler, true);
            live.add(addr, true);
        });
        if live.count == 0 {
            return None;
        }
        let unit = Unit::closed_by(handle as usize)?;
        let is_meant = |place: &&Place| unit.contains(place.start);
        let mut places = live.places().iter().filter(is_meant).peekable();
        places.peek()?;
        let is_running = places.any(|place| place.is_running);
        if KEEPS.load(Relaxed) {
            unit.each(|object| bind::bind(object, handle));
            if is_running {
                unit.seal();
            }
        }
        unit.each(|object| DETECTOR.doubt_code(&object.range()));
        Some(Closing { unit })
    }

    fn finish(self, site: usize) {
        // A destructor may have set another handler.
        DETECTOR.look_at_signals(&signal::handler_in_force);
        self.unit.each(|object| {
            let range = object.range();
            if object.is_loaded() {
                DETECTOR.trust_code(&range);
            } else {
                DETECTOR.code_gone(&range);
                timer_list::unloaded(&range, site);
            }
        });
        self.unit.end();
    }
}

/// An object with something of a live timer's in it.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    end: usize,
    is_running: bool,
}

/// Where live timers' handlers are, but for objects that cannot be unloaded.
struct Live {
    places: [Place; Live::PLACES_MAX],
    count: usize,
}

impl Live {
    /// Plugins with timers at the same time; more are not protected.
    const PLACES_MAX: usize = 64;

    const fn none() -> Live {
        let nowhere = Place { start: 0, end: 0, is_running: false };
        Live { places: [nowhere; Live::PLACES_MAX], count: 0 }
    }

    fn places(&self) -> &[Place] {
        &self.places[..self.count]
    }

    fn add(&mut self, addr: usize, is_running: bool) {
        let known = self.places[..self.count].iter_mut();
        if let Some(place) = known.into_iter().find(|p| (p.start..p.end).contains(&addr)) {
            place.is_running |= is_running;
            return;
        }
        let Some(Range { start, end }) = modules::range_of(addr) else { return };
        if !objects::is_from_the_start(start)
            && let Some(place) = self.places.get_mut(self.count)
        {
            *place = Place { start, end, is_running };
            self.count += 1;
        }
    }
}
