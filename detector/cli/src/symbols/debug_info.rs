//! DWARF: functions, inlined functions, files and lines.

use std::rc::Rc;

use gimli::{Dwarf, EndianRcSlice, RunTimeEndian};

use super::Place;

type Reader = EndianRcSlice<RunTimeEndian>;

/// The debug information of one module.
pub struct DebugInfo {
    context: addr2line::Context<Reader>,
}

impl DebugInfo {
    /// Debug information from the sections that `section` and, for what dwz
    /// moved away, `supplement` give by name (empty if there is none).
    pub fn load(
        section: impl Fn(&str) -> Vec<u8>,
        supplement: Option<impl Fn(&str) -> Vec<u8>>,
    ) -> Option<DebugInfo> {
        let mut dwarf = load(section)?;
        if let Some(supplement) = supplement {
            dwarf.set_sup(load(supplement)?);
        }
        let context = addr2line::Context::from_dwarf(dwarf).ok()?;
        Some(DebugInfo { context })
    }

    /// The functions at an address, inlined ones first; empty if none is known.
    pub fn places(&self, address: u64) -> Vec<Place> {
        let mut places = Vec::new();
        let Ok(mut frames) = self.context.find_frames(address).skip_all_loads() else {
            return places;
        };
        while let Ok(Some(frame)) = frames.next() {
            if let Some(inner) = places.last_mut() {
                let inner: &mut Place = inner;
                inner.inlined = true;
            }
            let function = frame.function.as_ref().and_then(|f| Some(f.demangle().ok()?.into()));
            let location = frame.location;
            places.push(Place {
                function,
                file: location.as_ref().and_then(|l| l.file).map(str::to_owned),
                line: location.and_then(|l| l.line).filter(|&l| l != 0),
                ..Place::default()
            });
            if places.len() >= INLINE_DEPTH_MAX {
                break;
            }
        }
        places
    }
}

/// More inlined functions at one address than this are cut.
const INLINE_DEPTH_MAX: usize = 64;

fn load(section: impl Fn(&str) -> Vec<u8>) -> Option<Dwarf<Reader>> {
    Dwarf::load(|id| {
        let data: Rc<[u8]> = section(id.name()).into();
        Ok::<_, gimli::Error>(EndianRcSlice::new(data, RunTimeEndian::Little))
    })
    .ok()
}
