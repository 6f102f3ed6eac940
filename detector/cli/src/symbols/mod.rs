//! Addresses to functions, files and lines.

mod debug_info;
mod elf;
mod names;

use std::collections::HashMap;

use crate::collect::{Address, AddressId, Module, Pool};
use debug_info::DebugInfo;
use elf::Elf;
use names::Names;

/// A place in a source, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Demangled name of the function.
    pub function: Option<String>,
    /// The symbol before the address, with the distance, if the function is not known.
    pub nearest: Option<String>,
    /// Source file.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
    /// The function was inlined into the next place of the list.
    pub inlined: bool,
}

/// What a module's files tell about its addresses.
#[derive(Default)]
struct Symbols {
    debug_info: Option<DebugInfo>,
    names: Names,
}

/// Resolves addresses; opens each module once, and only if it is asked for.
pub struct Symbolizer<'a> {
    pool: &'a Pool,
    modules: HashMap<usize, Symbols>,
    places: HashMap<AddressId, Vec<Place>>,
    /// Why there are no symbols for a module, a line each.
    pub problems: Vec<String>,
}

impl<'a> Symbolizer<'a> {
    /// A resolver for the addresses of `pool`.
    pub fn new(pool: &'a Pool) -> Symbolizer<'a> {
        Symbolizer { pool, modules: HashMap::new(), places: HashMap::new(), problems: Vec::new() }
    }

    /// The places of an address, inlined functions first; at least one.
    pub fn places(&mut self, id: AddressId) -> &[Place] {
        if !self.places.contains_key(&id) {
            let places = self.resolve(self.pool.addresses[id.0]);
            self.places.insert(id, places);
        }
        &self.places[&id]
    }

    fn resolve(&mut self, address: Address) -> Vec<Place> {
        let Some(index) = address.module else { return vec![Place::default()] };
        let problems = &mut self.problems;
        let module = &self.pool.modules[index];
        let symbols = self.modules.entry(index).or_insert_with(|| Symbols::load(module, problems));
        let mut places =
            symbols.debug_info.as_ref().map(|d| d.places(address.offset)).unwrap_or_default();
        if places.is_empty() {
            places.push(Place::default());
        }
        if let Some(last) = places.last_mut().filter(|p| p.function.is_none()) {
            symbols.names.fill(address.offset, last);
        }
        places
    }
}

impl Symbols {
    fn load(module: &Module, problems: &mut Vec<String>) -> Symbols {
        // The kernel's own objects have no file.
        if module.path.starts_with('[') || module.path.starts_with("linux-vdso") {
            return Symbols::default();
        }
        let loaded = if module.path.starts_with('/') {
            Symbols::try_load(module)
        } else {
            Err("its path is a relative one".to_owned())
        };
        match loaded {
            Ok(symbols) => symbols,
            Err(why) => {
                problems.push(format!("no symbols for {}: {why}", module.path));
                Symbols::default()
            }
        }
    }

    fn try_load(module: &Module) -> Result<Symbols, String> {
        let binary = Elf::open(module.path.as_ref(), Some(&module.build_id))?;
        let mut names = Names::default();
        binary.add_names(&mut names);
        let mut debug_info = binary.debug_info();
        if debug_info.is_none()
            && let Some(separate) = elf::separate_debug_file(&module.build_id)
        {
            separate.add_names(&mut names);
            debug_info = separate.debug_info();
        }
        names.sort();
        log::debug!("{}: debug info: {}", module.path, debug_info.is_some());
        Ok(Symbols { debug_info, names })
    }
}
