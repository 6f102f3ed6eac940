//! What a loaded object defines and needs, by its dynamic section.
//!
//! `dlsym` takes the loader's lock, allocates, leaves a message for `dlerror`,
//! and begins its search with us: none of that will do inside `operator new`.
//!
//! Ground rules. An object's dynamic section and what it points to stay as they
//! are while the object is loaded: in [`each`] it is, elsewhere the caller knows.
//!
//! Contexts: no lock but the loader's short one (in [`each`]), no allocation.

use core::ffi::{CStr, c_char, c_int, c_void};

/// An entry of the dynamic section.
#[repr(C)]
struct Dyn {
    tag: i64,
    value: usize,
}

/// An entry of the symbol table.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: usize,
}

/// The head of the hash table.
#[repr(C)]
struct Hash {
    buckets: u32,
    first_symbol: u32,
    filters: u32,
    shift: u32,
}

/// An entry of the table of relocations of calls.
#[repr(C)]
struct Relocation {
    offset: usize,
    info: u64,
    addend: i64,
}

/// What an object needs of another one's versions.
#[repr(C)]
struct Need {
    version: u16,
    count: u16,
    file: u32,
    first: u32,
    next: u32,
}

/// One of these versions.
#[repr(C)]
struct NeededVersion {
    hash: u32,
    flags: u16,
    number: u16,
    name: u32,
    next: u32,
}

/// A call that the loader binds when it is made first.
pub struct Pending<'a> {
    /// Where the address called stands.
    pub cell: usize,
    /// The function's name ...
    pub name: &'a CStr,
    /// ... and version.
    pub version: Option<&'a CStr>,
}

const DT_NULL: i64 = 0;
const DT_NEEDED: i64 = 1;
const DT_PLTRELSZ: i64 = 2;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_JMPREL: i64 = 23;
const DT_GNU_HASH: i64 = 0x6fff_fef5;
const DT_VERSYM: i64 = 0x6fff_fff0;
const DT_VERNEED: i64 = 0x6fff_fffe;
/// Relocation of a call's cell.
const R_X86_64_JUMP_SLOT: u32 = 7;
/// Binding of symbols that no other object sees.
const STB_LOCAL: u8 = 0;

/// A loaded object.
#[derive(Clone, Copy)]
pub struct Object {
    bias: usize,
    path: *const c_char,
    dynamic: *const Dyn,
    strings: usize,
    symbols: usize,
    hash: usize,
}

impl Object {
    /// The object with this dynamic section; none without names in it.
    ///
    /// # Safety
    ///
    /// * `dynamic` is the dynamic section of an object that is loaded at `bias`,
    ///   and `path` its name.
    pub unsafe fn new(bias: usize, path: *const c_char, dynamic: *const c_void) -> Option<Object> {
        let dynamic = dynamic.cast::<Dyn>();
        let object = Object { bias, path, dynamic, strings: 0, symbols: 0, hash: 0 };
        let (strings, symbols, hash) =
            (object.part(DT_STRTAB), object.part(DT_SYMTAB), object.part(DT_GNU_HASH));
        (strings != 0).then_some(Object { strings, symbols, hash, ..object })
    }

    fn entries(&self) -> impl Iterator<Item = &Dyn> {
        let mut next = self.dynamic;
        core::iter::from_fn(move || {
            // SAFETY: the section ends with a null entry, where we stop.
            let entry = unsafe { next.as_ref() }?;
            // SAFETY: as above.
            next = unsafe { next.add(1) };
            (entry.tag != DT_NULL).then_some(entry)
        })
    }

    /// The value of an entry of the dynamic section; 0 if there is none.
    fn value(&self, tag: i64) -> usize {
        self.entries().find(|entry| entry.tag == tag).map_or(0, |entry| entry.value)
    }

    /// Where a table of it is; 0 if there is none.
    fn part(&self, tag: i64) -> usize {
        let value = self.value(tag);
        // The loader makes these addresses absolute, but for objects whose
        // section it cannot write to (the kernel's vdso).
        if value != 0 && value < self.bias { self.bias + value } else { value }
    }

    /// Where it is loaded, relative to what its file says.
    pub fn bias(&self) -> usize {
        self.bias
    }

    /// An address in it: that of its dynamic section.
    pub fn dynamic_at(&self) -> usize {
        self.dynamic as usize
    }

    /// Its path as the loader has it; empty for the program.
    pub fn path(&self) -> &[u8] {
        if self.path.is_null() {
            return b"";
        }
        // SAFETY: a name by the promise of `new`.
        unsafe { CStr::from_ptr(self.path) }.to_bytes()
    }

    /// The last part of its path; empty for the program.
    pub fn name(&self) -> &[u8] {
        let path = self.path();
        path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
    }

    /// Whether it was linked with a library of such a name.
    pub fn needs(&self, mut is_meant: impl FnMut(&[u8]) -> bool) -> bool {
        let mut needed = self.entries().filter(|entry| entry.tag == DT_NEEDED);
        // SAFETY: the string table has a C string at this offset.
        needed.any(|entry| is_meant(unsafe { self.string(entry.value) }.to_bytes()))
    }

    /// The address of a symbol that it defines for others; 0 if it does not.
    pub fn symbol(&self, name: &CStr) -> usize {
        if self.hash == 0 || self.symbols == 0 {
            return 0;
        }
        let wanted = gnu_hash(name);
        // SAFETY: a GNU hash table: head, filter words, buckets, one chain word a
        // symbol from `first_symbol` on; a chain ends with an odd word.
        unsafe {
            let head = &*(self.hash as *const Hash);
            let filters = (self.hash + size_of::<Hash>()) as *const u64;
            let buckets = filters.add(head.filters as usize).cast::<u32>();
            let chains = buckets.add(head.buckets as usize);
            if head.filters == 0 || head.buckets == 0 {
                return 0;
            }
            let filter = filters.add((wanted / 64 % head.filters) as usize).read();
            let bits = 1u64 << (wanted % 64) | 1u64 << ((wanted >> head.shift) % 64);
            if filter & bits != bits {
                return 0;
            }
            let mut index = buckets.add((wanted % head.buckets) as usize).read();
            if index < head.first_symbol {
                return 0;
            }
            loop {
                let hash = chains.add((index - head.first_symbol) as usize).read();
                if hash | 1 == wanted | 1 {
                    let symbol = &*(self.symbols as *const Symbol).add(index as usize);
                    let is_defined = symbol.section != 0 && symbol.info >> 4 != STB_LOCAL;
                    if is_defined && self.string(symbol.name as usize) == name {
                        return self.bias.wrapping_add(symbol.value);
                    }
                }
                if hash & 1 != 0 {
                    return 0;
                }
                index += 1;
            }
        }
    }

    /// Whether it uses a symbol of another object with such a name.
    pub fn imports(&self, mut is_meant: impl FnMut(&[u8]) -> bool) -> bool {
        if self.hash == 0 || self.symbols == 0 {
            return false;
        }
        // SAFETY: the head of its hash table; symbols in front of the first that is in
        // there are what the object needs, behind a null one.
        unsafe {
            let count = (*(self.hash as *const Hash)).first_symbol as usize;
            let symbols = core::slice::from_raw_parts(self.symbols as *const Symbol, count);
            let mut needed = symbols.iter().skip(1).filter(|symbol| symbol.section == 0);
            needed.any(|symbol| is_meant(self.string(symbol.name as usize).to_bytes()))
        }
    }

    /// Calls `each` with every call that is still to be bound.
    pub fn each_pending(&self, each: &mut dyn FnMut(&Pending<'_>)) {
        let (table, versions) = (self.part(DT_JMPREL), self.part(DT_VERSYM));
        if table == 0 || self.symbols == 0 {
            return;
        }
        let count = self.value(DT_PLTRELSZ) / size_of::<Relocation>();
        // SAFETY: the object's table of that size, while it is loaded.
        let table = unsafe { core::slice::from_raw_parts(table as *const Relocation, count) };
        for (index, relocation) in table.iter().enumerate() {
            let cell = self.bias.wrapping_add(relocation.offset);
            if relocation.info as u32 != R_X86_64_JUMP_SLOT || !self.is_unbound(cell, index) {
                continue;
            }
            let number = (relocation.info >> 32) as usize;
            // SAFETY: a symbol that the object's own relocation names; there is a
            // version's number for each symbol, if for any.
            unsafe {
                let symbol = &*(self.symbols as *const Symbol).add(number);
                let version = match versions {
                    0 => None,
                    versions => self.version((versions as *const u16).add(number).read()),
                };
                each(&Pending { cell, name: self.string(symbol.name as usize), version });
            }
        }
    }

    /// Does the cell of the `index`-th call lead to the stub that has the loader bind
    /// it? It pushes the index: behind `endbr64`, or as its first act.
    fn is_unbound(&self, cell: usize, index: usize) -> bool {
        const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
        const PUSH: u8 = 0x68;
        // SAFETY: the loader's cell, which holds the address of code: the object's
        // own stub, or a function, both longer than this.
        let code = unsafe {
            let at = (cell as *const usize).read();
            if !crate::modules::are_together(at, self.dynamic as usize) {
                return false;
            }
            (at as *const [u8; 9]).read()
        };
        let push = if code[..4] == ENDBR64 { &code[4..] } else { &code[..5] };
        push[0] == PUSH && push[1..] == (index as u32).to_le_bytes()
    }

    /// The name of a needed version, by its number.
    fn version(&self, number: u16) -> Option<&CStr> {
        /// The highest bit hides a symbol; 0 and 1 are no versions.
        const NUMBER: u16 = 0x7fff;
        let mut need = self.part(DT_VERNEED);
        if need == 0 || number & NUMBER < 2 {
            return None;
        }
        // SAFETY: the object's list of needed versions: offsets to the next, 0 ends it.
        unsafe {
            loop {
                let of = &*(need as *const Need);
                let mut at = need + of.first as usize;
                for _ in 0..of.count {
                    let version = &*(at as *const NeededVersion);
                    if version.number & NUMBER == number & NUMBER {
                        return Some(self.string(version.name as usize));
                    }
                    at += version.next as usize;
                }
                if of.next == 0 {
                    return None;
                }
                need += of.next as usize;
            }
        }
    }

    /// # Safety
    ///
    /// * `offset` is one of a name in the dynamic section or the symbol table.
    unsafe fn string(&self, offset: usize) -> &CStr {
        // SAFETY: the caller's promise.
        unsafe { CStr::from_ptr((self.strings + offset) as *const c_char) }
    }
}

fn gnu_hash(name: &CStr) -> u32 {
    let bytes = name.to_bytes().iter();
    bytes.fold(5381u32, |hash, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

/// Calls `each` with every loaded object, in the order of loading, and whether it
/// is this library; until `false` comes back.
pub fn each(each: &mut dyn FnMut(&Object, bool) -> bool) {
    let mut each = each;
    // SAFETY: the callback gets back what it is given here, and runs before this
    // function returns.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut each).cast()) };
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    each: *mut c_void,
) -> c_int {
    let own = visit as *const () as usize;
    // SAFETY: the loader's description of an object that stays loaded meanwhile,
    // and the closure that `each` gave.
    unsafe {
        let info = &*info;
        let each = &mut *each.cast::<&mut dyn FnMut(&Object, bool) -> bool>();
        let headers = core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize);
        let bias = info.dlpi_addr as usize;
        let at = |header: &libc::Elf64_Phdr| bias.wrapping_add(header.p_vaddr as usize);
        let is_own = headers.iter().any(|header| {
            header.p_type == libc::PT_LOAD && own.wrapping_sub(at(header)) < header.p_memsz as usize
        });
        let Some(dynamic) = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC) else {
            return 0;
        };
        match Object::new(bias, info.dlpi_name, at(dynamic) as *const c_void) {
            Some(object) => !each(&object, is_own) as c_int,
            None => 0,
        }
    }
}
