//! Every case of the matrix.

use super::{Asked, Case, Class, KEPT, LARGE, LARGE_ODD, MEDIUM, SMALL, Site};

const SIZES: [usize; 3] = [SMALL, MEDIUM, LARGE];
/// Sizes of blocks that stay accessible after a free.
const FILLED: [usize; 3] = [SMALL, MEDIUM, KEPT];
const LENS: [usize; 3] = [1, 8, 32];

const ALLOCATED: Site = Site { function: "allocate_block", comment: "allocated here" };
const FREED: Site = Site { function: "free_block", comment: "freed here" };
const MOVED: Site = Site { function: "move_block", comment: "moved here" };

/// A case that deadwalk is to name.
fn case(row: &'static str, class: Class, source: &'static str, name: &'static str) -> Case {
    Case {
        row,
        class,
        source,
        name,
        size: SMALL,
        len: 1,
        place: "first",
        found: "exit",
        asked: Asked::Named,
        offset: None,
        alloc: Some(ALLOCATED),
        free: None,
        access: None,
    }
}

/// Every case, row by row.
pub fn cases() -> Vec<Case> {
    let mut all = writes_after_free();
    all.extend(reads_after_free());
    all.extend(double_frees());
    all.extend(invalid_frees());
    all.extend(bounds());
    all.extend(zero_size());
    all.extend(families());
    all.extend(layouts());
    all.extend(refused());
    all
}

fn offset_of(place: &str, size: usize, len: usize) -> isize {
    let offset = match place {
        "first" => 0,
        "middle" => (size - len) / 2,
        _ => size - len,
    };
    offset as isize
}

/// Writes of every length at every place of a block.
fn everywhere(like: Case) -> Vec<Case> {
    let mut cases = vec![];
    for len in LENS {
        for place in ["first", "middle", "last"] {
            let inside = len.min(like.size);
            // A block written from end to end has one place.
            if len < like.size || place == "first" {
                let offset = Some(offset_of(place, like.size, inside));
                cases.push(Case { len: inside, place, offset, ..like });
            }
        }
    }
    cases
}

fn writes_after_free() -> Vec<Case> {
    let class = Class::WriteAfterFree;
    let mut cases = vec![];
    for (row, found) in [
        ("write after free, found at reuse", "reuse"),
        ("write after free, found at exit", "exit"),
        ("write after free, found by the sweep", "sweep"),
    ] {
        for size in FILLED {
            let write =
                Case { size, found, free: Some(FREED), ..case(row, class, "after_free", "write") };
            cases.extend(everywhere(write));
            let offset = Some(offset_of("middle", size, 1));
            cases.push(Case { name: "write_zero", place: "middle", offset, ..write });
        }
    }
    let row = "write after free, told at the access";
    let shut = Case { size: LARGE, found: "access", ..case(row, class, "after_free", "write") };
    let shut = Case { access: Some("write_freed"), free: Some(FREED), ..shut };
    cases.extend(everywhere(shut));
    let middle = Case { place: "middle", offset: Some(offset_of("middle", LARGE, 1)), ..shut };
    cases.extend(["write_zero", "write_poison"].map(|name| Case { name, ..middle }));
    let moved = Case { name: "write_moved", offset: Some(0), free: Some(MOVED), ..shut };
    cases.push(Case { access: Some("write_moved"), ..moved });
    for size in FILLED {
        let row = "write after free of the free pattern's own byte";
        let write = Case { size, ..case(row, class, "after_free", "write_poison") };
        cases.push(Case { asked: Asked::Silent, found: "reuse", ..write });
    }
    for len in LENS {
        let row = "write after free, memory given back";
        let write = Case { size: LARGE, len, ..case(row, class, "after_free", "write_purged") };
        let offset = Some(offset_of("middle", LARGE, len));
        let access = Some("write_purged");
        let write = Case { place: "middle", offset, access, free: Some(FREED), ..write };
        cases.push(Case { found: "access", ..write });
    }
    for size in FILLED {
        for (found, len) in [("reuse", 8), ("exit", 1)] {
            let row = "write through a pointer that realloc moved away from";
            let write = Case { size, len, ..case(row, class, "after_free", "write_moved") };
            let write = Case { found, offset: Some(0), ..write };
            cases.push(Case { free: Some(MOVED), ..write });
        }
    }
    cases
}

fn reads_after_free() -> Vec<Case> {
    let row = "read after free";
    let mut cases = vec![];
    for size in SIZES {
        let read = case(row, Class::ReadAfterFree, "after_free", "read");
        let asked = if size == LARGE { Asked::Named } else { Asked::NamedOrSilent };
        let read = Case { size, found: "access", asked, ..read };
        for place in ["first", "middle", "last"] {
            cases.push(Case { place, ..read });
        }
        cases.push(Case { len: size, ..read });
        cases.push(Case { name: "read_moved", ..read });
    }
    let row = "read after free, memory given back";
    let read = case(row, Class::ReadAfterFree, "after_free", "read_purged");
    let offset = Some(offset_of("middle", LARGE, 8));
    let read = Case { size: LARGE, len: 8, place: "middle", offset, ..read };
    let access = Some("read_purged");
    cases.push(Case { found: "access", free: Some(FREED), access, ..read });
    cases
}

fn double_frees() -> Vec<Case> {
    let (row, class) = ("double free", Class::DoubleFree);
    let mut cases = vec![];
    for size in SIZES {
        for name in ["double_at_once", "double_after_others", "double_interleaved"] {
            let double = Case { size, free: Some(FREED), ..case(row, class, "frees", name) };
            cases.push(Case { access: Some("free_wrongly"), ..double });
        }
        // Who freed a block is known while it is in quarantine.
        let late = case(row, class, "frees", "double_after_quarantine");
        cases.push(Case { size, access: Some("free_wrongly"), ..late });
        // Told at once or when the second copy is found: no stack is certain.
        cases.push(Case { size, ..case(row, class, "frees", "double_from_two_threads") });
        let again = Case { size, ..case(row, class, "frees", "realloc_freed") };
        cases.push(Case { free: Some(FREED), access: Some("move_block"), ..again });
        let away = Case { size, ..case(row, class, "frees", "moved_away") };
        cases.push(Case { free: Some(MOVED), access: Some("free_wrongly"), ..away });
    }
    for case in &mut cases {
        case.offset = Some(0);
        case.found = "free";
    }
    cases
}

fn invalid_frees() -> Vec<Case> {
    let (row, class) = ("invalid free", Class::InvalidFree);
    let mut cases = vec![];
    for size in SIZES {
        let inside = |name, offset: usize| Case {
            offset: Some(offset as isize),
            ..case(row, class, "frees", name)
        };
        let outside = |name| Case { alloc: None, ..case(row, class, "frees", name) };
        for invalid in [
            inside("interior", size / 2),
            inside("unaligned", 1),
            outside("stack"),
            outside("static"),
            outside("never_allocated"),
            outside("mapped"),
            outside("foreign"),
        ] {
            let access = Some("free_wrongly");
            cases.push(Case { size, found: "free", access, ..invalid });
        }
    }
    cases
}

fn bounds() -> Vec<Case> {
    let mut cases = vec![];
    for (found, over, under) in [
        ("free", "overflow, found at free", "underflow, found at free"),
        ("realloc", "overflow, found at realloc", "underflow, found at realloc"),
        ("exit", "overflow, found at exit", "underflow, found at exit"),
        ("sweep", "overflow, found by the sweep", "underflow, found by the sweep"),
    ] {
        let access = match found {
            "free" => Some("free_block"),
            "realloc" => Some("move_block"),
            _ => None,
        };
        for size in [SMALL, MEDIUM, LARGE_ODD] {
            let write =
                Case { size, found, access, ..case(over, Class::Overflow, "bounds", "overflow") };
            cases.extend(LENS.map(|len| Case { len, offset: Some(size as isize), ..write }));
        }
        for size in [SMALL, MEDIUM] {
            let write = Case {
                size,
                found,
                access,
                ..case(under, Class::Underflow, "bounds", "underflow")
            };
            cases.extend([1, 8].map(|len| Case { len, offset: Some(-(len as isize)), ..write }));
        }
    }
    let row = "overflow, found at the access";
    let write = case(row, Class::Overflow, "bounds", "overflow");
    let write = Case { size: LARGE, found: "access", access: Some("overflow"), ..write };
    cases.extend(LENS.map(|len| Case { len, offset: Some(LARGE as isize), ..write }));
    // The page in front of a large block is the guard of the one in front.
    let row = "underflow, found at the access";
    let write = case(row, Class::Underflow, "bounds", "underflow");
    let write = Case { size: LARGE, found: "access", access: Some("underflow"), ..write };
    cases.extend([1, 8].map(|len| Case { len, offset: Some(-(len as isize)), ..write }));
    cases
}

fn zero_size() -> Vec<Case> {
    let write = case("write to a block of no bytes", Class::Overflow, "bounds", "zero_write");
    let write = Case { size: 0, found: "free", access: Some("free_block"), ..write };
    let read = case("read of a block of no bytes", Class::ReadAfterFree, "bounds", "zero_read");
    let read = Case { size: 0, found: "access", asked: Asked::Silent, ..read };
    vec![Case { offset: Some(0), ..write }, Case { len: 8, offset: Some(0), ..write }, read]
}

fn families() -> Vec<Case> {
    const NEW: Site = Site { function: "new_block", comment: "new here" };
    const NEW_ARRAY: Site = Site { function: "new_array", comment: "new[] here" };
    let row = "C++ family mismatch";
    let mut cases = vec![];
    for size in SIZES {
        for (name, alloc, access) in [
            ("new_free", NEW, "free_block"),
            ("array_free", NEW_ARRAY, "free_block"),
            ("new_delete_array", NEW, "delete_array"),
            ("array_delete", NEW_ARRAY, "delete_block"),
            ("malloc_delete", ALLOCATED, "delete_block"),
            ("malloc_delete_array", ALLOCATED, "delete_array"),
            ("wrong_size", NEW, "delete_sized"),
        ] {
            let mismatch = Case { size, ..case(row, Class::Mismatch, "families", name) };
            let (alloc, access) = (Some(alloc), Some(access));
            cases.push(Case { found: "free", offset: Some(0), alloc, access, ..mismatch });
        }
    }
    cases
}

fn layouts() -> Vec<Case> {
    let row = "Rust: freed or resized with another layout";
    let mut cases = vec![];
    for size in SIZES {
        for name in ["dealloc_size", "dealloc_align", "realloc_size"] {
            cases.push(Case { size, found: "free", ..case(row, Class::Layout, "layout", name) });
        }
    }
    cases
}

fn refused() -> Vec<Case> {
    let row = "requests that the standard has refused";
    let mut cases = vec![];
    for size in SIZES {
        for name in ["huge", "multiplied", "aligned", "aligned_alloc"] {
            let asked = Asked::Silent;
            cases.push(Case { size, asked, ..case(row, Class::Refused, "refused", name) });
        }
    }
    cases
}
