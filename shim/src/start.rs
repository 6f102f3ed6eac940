//! The constructor: options, record, detector, observer, fork and exit.
//!
//! It runs once, in one thread, before main but not before every other
//! constructor: malloc and the jump thunks work before it.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::Ordering::Relaxed;
use std::sync::OnceLock;

use deadwalk_alloc::{Block, Config, Freeing, HeapObserver, Isolate, Misuse, MisuseKind};
use deadwalk_detector::frees::HeapMisuse;
use deadwalk_detector::options::{Guard, LogLevel, Options, Problem};
use deadwalk_detector::record::guard_means::GuardMeans;
use deadwalk_detector::record::layout::ARGV_BYTES;
use deadwalk_detector::{DETECTOR, HeapBlock, Kind};

use crate::host::Host;
use crate::say::{self, Line};
use crate::{
    arena, collector, descriptors, elf, exit, foreign, fork, guard_sites, heal, jump, modules,
    operators, overrides, provoke, real, record_file, resources, signal, sigwait, stack,
    stale_calls, stdio, sweeper, timer_list, tls, unload,
};

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = constructor;

/// What the constructor learned; constant afterwards.
struct Settings {
    options: Options<'static>,
    options_text: &'static str,
    output: Option<&'static str>,
    log_filter: &'static str,
    exe: Vec<u8>,
    /// The command line: a copy, since programs write over theirs.
    argv: Vec<u8>,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

extern "C" fn constructor(_argc: c_int, argv: *const *const c_char, _envp: *const *const c_char) {
    // SAFETY: errno is thread-local and always valid.
    let errno = unsafe { *libc::__errno_location() };
    if is_second_copy() {
        return;
    }
    say::remember_stderr();
    modules::prepare();
    unload::prepare();
    real::prepare();
    descriptors::prepare();
    sweeper::prepare();
    jump::prepare();
    stale_calls::prepare();
    stdio::prepare();
    resources::prepare();
    foreign::prepare();
    signal::prepare();
    sigwait::prepare();
    arena::survive_fork();
    fork::register();
    // A set-id program trusts no variable of its caller: we stay passive.
    // SAFETY: reads a number from the auxiliary vector.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if !secure && arena::has_room() {
        start(argv);
    } else {
        operators::settle(false);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Is another file of this library loaded, before this one? Its exports are the
/// ones that the program got: this copy does nothing.
fn is_second_copy() -> bool {
    let object_of = |addr: *const c_void| {
        // SAFETY: an all-zero structure is valid, and dladdr only writes to it.
        unsafe {
            let mut info: libc::Dl_info = core::mem::zeroed();
            libc::dladdr(addr, &raw mut info);
            info.dli_fbase
        }
    };
    // SAFETY: a C string.
    let first = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"deadwalk_version".as_ptr()) };
    // The address of an export would be the first copy's here too.
    !first.is_null() && object_of(first) != object_of(constructor as *const c_void)
}

fn start(argv: *const *const c_char) {
    let mut options_text = environment(c"DEADWALK_OPTIONS");
    let mut options = Options::default();
    options.apply(options_text, complain);
    if options.provoke_us > 0 && options.provoke_seed.is_none() {
        let seed = provoke::new_seed();
        options.provoke_seed = Some(seed);
        // As if it had been asked for: the record tells it.
        options_text = format!("{options_text}:provoke_seed={seed}").leak();
    }
    let settings = Settings {
        options,
        options_text,
        output: options.output.map(absolute),
        log_filter: match environment(c"DEADWALK_LOG") {
            "" => options.log.name(),
            filter => filter,
        },
        exe: read_exe(),
        argv: if options.argv { copy_args(argv) } else { Vec::new() },
    };
    if SETTINGS.set(settings).is_err() {
        return;
    }
    // Only who explains faults may take access away.
    let explains_faults = signal::install();
    deadwalk_alloc::configure(Config {
        quarantine_bytes: options.quarantine_bytes,
        abort_on_error: options.abort_on_error,
        guard: explains_faults,
        isolate: match options.guard {
            Guard::Off => Isolate::Nothing,
            Guard::Timers => Isolate::Watched,
            Guard::All => Isolate::All,
        },
        isolate_sample: options.guard_sample,
        isolate_at_end: options.guard_at_end,
        isolate_live_bytes: options.guard_live,
        held_pages: options.guard_freed,
        new_delete: options.new_delete,
        ..Config::default()
    });
    let watches = options.guard != Guard::Off && uses_timers_with_data();
    if watches {
        deadwalk_alloc::expect_watches(modules::libc());
    }
    if explains_faults && let Some(pattern) = options.guard_sites {
        guard_sites::choose(pattern);
    }
    let asks_for_more = options.guard_sites.is_some() || options.guard_sample != 0;
    if watches || options.guard == Guard::All || asks_for_more && options.guard != Guard::Off {
        signal::prepare_for_stale();
    }
    signal::limit_traps(options.trap_limit);
    operators::settle(options.new_delete);
    deadwalk_alloc::set_site_resolver(modules::resolve_site);
    DETECTOR.configure(options.del, options.tail_us, options.deadlock_ms);
    DETECTOR.set_heal(options.heal);
    timer_list::configure(&options);
    unload::configure(options.keep_unloaded);
    DETECTOR.provoke.configure(options.provoke_us, options.provoke_seed.unwrap_or(0));
    new_record(false);
    DETECTOR.activate(&Host);
    deadwalk_alloc::set_observer(&Observer);
    collector::allow();
    exit::register();
}

/// Was any object that is loaded linked with a function whose timers or data are
/// watched?
fn uses_timers_with_data() -> bool {
    let mut uses = false;
    elf::each(&mut |object, is_own| {
        let is_meant = |name: &[u8]| match name.strip_prefix(b"deadwalk_") {
            Some(call) => !matches!(call, b"counter" | b"version"),
            None => name == b"timer_create",
        };
        uses = !is_own && object.imports(is_meant);
        !uses
    });
    uses
}

/// Begins a record, as a file if there is an output folder and it works;
/// whether the file was made. `forked`: in a fork child, whose counts start at 0.
pub fn new_record(forked: bool) -> bool {
    let Some(settings) = SETTINGS.get() else { return false };
    let file = settings.output.and_then(record_file::create);
    let Some(head) = file.or_else(record_file::private_head) else { return false };
    record_file::fill(
        head,
        &record_file::Facts {
            exe: &settings.exe,
            options: settings.options_text.as_bytes(),
            argv: &settings.argv,
            forked,
        },
    );
    DETECTOR.record.attach(head);
    let means = match deadwalk_alloc::guard_means() {
        None => GuardMeans::None,
        Some(deadwalk_alloc::GuardMeans::Kernel) => GuardMeans::Madvise,
        Some(deadwalk_alloc::GuardMeans::Protect) => GuardMeans::Mprotect,
    };
    head.guard_means.store(means as u32, Relaxed);
    DETECTOR.set_policy(DETECTOR.policy());
    if let Some(cells) = head.counters.first_chunk() {
        if forked {
            deadwalk_alloc::set_class_counters_fresh(&head.classes);
            deadwalk_alloc::set_counters_fresh(cells);
        } else {
            deadwalk_alloc::set_counters(cells);
            deadwalk_alloc::set_class_counters(&head.classes);
        }
    }
    file.is_some()
}

/// The arguments as the loader gives them to constructors, a NUL behind each;
/// no more than a record holds.
fn copy_args(argv: *const *const c_char) -> Vec<u8> {
    let mut copy = Vec::new();
    let mut next = argv;
    // SAFETY: null, or a NULL-terminated array of C strings.
    unsafe {
        while !next.is_null() && !(*next).is_null() && copy.len() < ARGV_BYTES {
            copy.extend_from_slice(CStr::from_ptr(*next).to_bytes_with_nul());
            next = next.add(1);
        }
    }
    copy
}

fn environment(name: &CStr) -> &'static str {
    // SAFETY: in the constructor nobody changes the environment; the value is
    // copied, since the program may change it later.
    let value = unsafe {
        let value = libc::getenv(name.as_ptr());
        if value.is_null() {
            return "";
        }
        CStr::from_ptr(value)
    };
    String::from_utf8_lossy(value.to_bytes()).into_owned().leak()
}

fn complain(problem: Problem<'_>) {
    match problem {
        Problem::UnknownKey(key) => Line::new().text("unknown option ").text(key),
        Problem::BadValue(key, value) => {
            Line::new().text("bad value for ").text(key).text(": ").text(value)
        }
    }
    .text(" (ignored)")
    .say();
}

/// The folder as an absolute path: the program may change its directory.
fn absolute(folder: &str) -> &'static str {
    if folder.starts_with('/') {
        return folder.to_owned().leak();
    }
    let mut buffer = [0u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is writable for its length.
    let here = unsafe { libc::getcwd(buffer.as_mut_ptr().cast(), buffer.len()) };
    if here.is_null() {
        return folder.to_owned().leak();
    }
    let here = CStr::from_bytes_until_nul(&buffer).unwrap_or(c"").to_string_lossy();
    format!("{here}/{folder}").leak()
}

fn read_exe() -> Vec<u8> {
    let mut buffer = [0u8; libc::PATH_MAX as usize];
    // SAFETY: a C string and a buffer writable for its length.
    let len = unsafe {
        libc::readlink(c"/proc/self/exe".as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    };
    buffer[..len.max(0) as usize].to_vec()
}

/// Path of the executable; empty before the constructor ran.
pub fn exe() -> &'static [u8] {
    SETTINGS.get().map_or(b"", |s| &s.exe)
}

/// Is a record folder set?
pub fn has_output() -> bool {
    SETTINGS.get().is_some_and(|s| s.output.is_some())
}

/// Preloaded or linked by hand, with nowhere to write a record.
pub fn is_bare() -> bool {
    SETTINGS.get().is_some_and(|s| s.output.is_none())
}

/// What the live log prints.
pub fn log_level() -> LogLevel {
    SETTINGS.get().map_or(LogLevel::Off, |s| s.options.log)
}

/// The live log's filter.
pub fn log_filter() -> &'static str {
    SETTINGS.get().map_or("off", |s| s.log_filter)
}

/// How often the heap is swept while the program runs, ms; 0 not at all.
pub fn sweep_ms() -> u32 {
    SETTINGS.get().map_or(0, |s| s.options.sweep_ms)
}

/// Are the blocks that are live at the end listed?
pub fn lists_leaks() -> bool {
    SETTINGS.get().is_some_and(|s| s.options.leaks)
}

fn keeps_bytes() -> bool {
    SETTINGS.get().is_some_and(|s| s.options.bytes)
}

/// Are a misuse's bytes kept: damage that was seen, or what stands in their place?
fn shows_bytes(misuse: &Misuse) -> bool {
    let is_seen = misuse.len > 0 && misuse.expected != misuse.found;
    is_seen && keeps_bytes() || misuse.kind == MisuseKind::AllocDeallocMismatch
}

/// Does libc itself, or the loader, make the allocation call that we are in?
fn is_libc_calling() -> bool {
    let mut caller = [0];
    stack::capture(&mut caller) == 0 || modules::is_libc(caller[0])
}

/// What the heap tells the detector.
struct Observer;

impl HeapObserver for Observer {
    fn freeing(&self, block: &Block, free_site: usize) {
        timer_list::freeing(block, free_site);
        let block = HeapBlock { base: block.base, size: block.size, alloc_site: block.alloc_site };
        DETECTOR.freeing(&block, free_site);
    }

    fn ends(&self, block: &Block, free_site: usize) -> Freeing {
        if let Some(freeing) = heal::freed_again(block.base) {
            return freeing;
        }
        self.freeing(block, free_site);
        heal::freed(block, free_site)
    }

    fn misuse(&self, misuse: &Misuse) {
        let Some(kind) = Kind::from_name(misuse.kind.name()) else { return };
        if kind == Kind::AllocDeallocMismatch && overrides::are_mixed() {
            return;
        }
        let hooks = tls::hooks();
        if misuse.in_signal || is_libc_calling() {
            tls::set_hooks(hooks | tls::IN_LIBC);
        }
        DETECTOR.heap_misuse(&HeapMisuse {
            kind,
            addr: misuse.addr,
            block: HeapBlock {
                base: misuse.base,
                size: misuse.size,
                alloc_site: misuse.alloc_site,
            },
            offset: misuse.offset,
            free_site: misuse.free_site,
            late: misuse.late,
            caller: misuse.caller,
            bytes: shows_bytes(misuse).then_some((&misuse.expected, &misuse.found)),
            in_signal: misuse.in_signal,
            stack: signal::place::told(),
            age_ns: misuse.age_ns,
        });
        tls::set_hooks(hooks);
    }

    fn foreign_free(&self, addr: usize, _site: usize) -> bool {
        foreign::free(addr)
    }

    fn foreign_realloc(&self, addr: usize, size: usize, _site: usize) -> Option<*mut u8> {
        foreign::realloc(addr, size)
    }

    fn foreign_usable_size(&self, addr: usize) -> usize {
        foreign::usable_size(addr)
    }
}
