//! Frames and stacks of the report.

use crate::collect::{AddressId, Pool, StackId};
use crate::symbols::{Place, Symbolizer};

use super::model::Frame;

/// The file name of the preloaded library: its own frames are no news.
const OWN_LIBRARY: &str = "libdeadwalk";

/// Makes the report's frames.
pub struct Frames<'a> {
    pool: &'a Pool,
    symbolizer: Symbolizer<'a>,
}

impl<'a> Frames<'a> {
    /// Frames of `pool`.
    pub fn new(pool: &'a Pool) -> Frames<'a> {
        Frames { pool, symbolizer: Symbolizer::new(pool) }
    }

    /// The place of a call: where it stands in the source.
    pub fn call(&mut self, id: AddressId) -> Frame {
        let place = self.symbolizer.places(id).first().cloned().unwrap_or_default();
        Frame { inlined: false, ..self.frame(id, place) }
    }

    /// A function by its first address: never what was inlined into it.
    pub fn function(&mut self, id: AddressId) -> Frame {
        let place = self.symbolizer.places(id).last().cloned().unwrap_or_default();
        self.frame(id, place)
    }

    /// A stack, innermost first, with inlined functions as frames of their own
    /// and without our own library's frames on top.
    pub fn stack(&mut self, id: StackId) -> Vec<Frame> {
        let addresses = &self.pool.stacks[id.0];
        let own = addresses.iter().take_while(|&&a| self.is_own(a)).count();
        // All of it ours: better that than nothing.
        let own = if own == addresses.len() { 0 } else { own };
        let mut frames = Vec::new();
        for &address in &addresses[own..] {
            for place in self.symbolizer.places(address).to_vec() {
                frames.push(self.frame(address, place));
            }
        }
        frames
    }

    /// A stack's innermost address outside of our own library.
    pub fn top(&self, id: StackId) -> Option<AddressId> {
        self.pool.stacks[id.0].iter().copied().find(|&address| !self.is_own(address))
    }

    /// The handler's stack: its outermost frame is the handler's entry.
    pub fn handler(&mut self, id: StackId) -> Vec<Frame> {
        match self.pool.stacks[id.0].as_slice() {
            [entry] => vec![self.function(*entry)],
            _ => self.stack(id),
        }
    }

    /// Why symbols are missing, a line each.
    pub fn into_problems(self) -> Vec<String> {
        self.symbolizer.problems
    }

    fn is_own(&self, id: AddressId) -> bool {
        let module = self.pool.addresses[id.0].module.map(|m| &self.pool.modules[m].path);
        let name = module.and_then(|path| path.rsplit('/').next());
        name.is_some_and(|name| name.starts_with(OWN_LIBRARY))
    }

    fn frame(&self, id: AddressId, place: Place) -> Frame {
        let address = self.pool.addresses[id.0];
        let module = address.module.map(|m| self.pool.modules[m].path.clone());
        Frame {
            ip: format!("{:#x}", address.ip),
            module: module.unwrap_or_default(),
            offset: format!("{:#x}", address.offset),
            function: place.function,
            file: place.file,
            line: place.line,
            nearest_symbol: place.nearest,
            inlined: place.inlined,
        }
    }
}
