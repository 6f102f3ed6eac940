//! Modules, addresses and stacks of all records, each held once.

use std::collections::HashMap;

use deadwalk_detector::record::reader::{self, Record};

/// An executable or shared object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Module {
    /// Its path when it was loaded.
    pub path: String,
    /// GNU build id, empty if it has none.
    pub build_id: Vec<u8>,
}

/// A code address.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// Where it lay in the first process that had it.
    pub ip: u64,
    /// Index into [`Pool::modules`].
    pub module: Option<usize>,
    /// Address in the ELF file, or the raw address without a module.
    pub offset: u64,
}

/// Index into [`Pool::addresses`]. Two processes' addresses are the same if
/// module and offset agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressId(pub usize);

/// Index into [`Pool::stacks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StackId(pub usize);

/// What all records refer to.
#[derive(Default)]
pub struct Pool {
    /// Modules.
    pub modules: Vec<Module>,
    /// Addresses.
    pub addresses: Vec<Address>,
    /// Stacks, innermost frame first.
    pub stacks: Vec<Vec<AddressId>>,
    module_ids: HashMap<Module, usize>,
    address_ids: HashMap<(Option<usize>, u64), AddressId>,
    stack_ids: HashMap<Vec<AddressId>, StackId>,
}

/// The places in a [`Pool`] of one record's modules and stacks.
pub struct Places {
    modules: Vec<(usize, u64)>,
    /// By index in the record.
    pub stacks: Vec<StackId>,
}

impl Pool {
    /// Takes over a record's modules and stacks.
    pub fn add(&mut self, record: &Record) -> Places {
        let modules = record.modules.iter().map(|m| self.module(m, &record.process.exe)).collect();
        let mut places = Places { modules, stacks: Vec::new() };
        for stack in &record.stacks {
            let frames = stack.iter().map(|&f| self.address(f, &places)).collect();
            let id = self.stack(frames);
            places.stacks.push(id);
        }
        places
    }

    /// A frame of the record that `places` belongs to.
    pub fn address(&mut self, frame: reader::Frame, places: &Places) -> AddressId {
        let known = frame.module.and_then(|m| places.modules.get(m).copied());
        let module = known.map(|(module, _)| module);
        let addresses = &mut self.addresses;
        *self.address_ids.entry((module, frame.offset)).or_insert_with(|| {
            let ip = known.map_or(0, |(_, bias)| bias).wrapping_add(frame.offset);
            addresses.push(Address { ip, module, offset: frame.offset });
            AddressId(addresses.len() - 1)
        })
    }

    /// The module's place, and its load bias. Modules with a build id are the
    /// same wherever they lie; the main program's path may be empty.
    fn module(&mut self, module: &reader::Module, exe: &str) -> (usize, u64) {
        let path = if module.path.is_empty() { exe } else { &module.path };
        let key_path = if module.build_id.is_empty() { path.to_owned() } else { String::new() };
        let key = Module { path: key_path, build_id: module.build_id.clone() };
        let modules = &mut self.modules;
        let index = *self.module_ids.entry(key).or_insert_with(|| {
            modules.push(Module { path: path.to_owned(), build_id: module.build_id.clone() });
            modules.len() - 1
        });
        (index, module.bias)
    }

    fn stack(&mut self, frames: Vec<AddressId>) -> StackId {
        if let Some(&id) = self.stack_ids.get(&frames) {
            return id;
        }
        let id = StackId(self.stacks.len());
        self.stacks.push(frames.clone());
        self.stack_ids.insert(frames, id);
        id
    }
}
