//! The symbols of a module by address.

use super::Place;

/// Function symbols; sorted before they are asked.
#[derive(Default)]
pub struct Names {
    symbols: Vec<Symbol>,
}

struct Symbol {
    start: u64,
    size: u64,
    name: String,
}

impl Names {
    /// Adds a function of `size` bytes, 0 if not known.
    pub fn push(&mut self, start: u64, size: u64, name: &str) {
        self.symbols.push(Symbol { start, size, name: name.to_owned() });
    }

    /// Makes the symbols ready for [`Names::fill`].
    pub fn sort(&mut self) {
        // Of several names for one address the one with a size comes last and wins.
        self.symbols.sort_by_key(|s| (s.start, s.size));
    }

    /// Names the function at `offset`, or else the symbol before it.
    pub fn fill(&self, offset: u64, place: &mut Place) {
        let after = self.symbols.partition_point(|s| s.start <= offset);
        let Some(symbol) = after.checked_sub(1).map(|i| &self.symbols[i]) else { return };
        let distance = offset - symbol.start;
        let name = addr2line::demangle_auto(symbol.name.as_str().into(), None).into_owned();
        if distance < symbol.size || distance == 0 {
            place.function = Some(name);
        } else {
            place.nearest = Some(format!("{name}+{distance:#x}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_at_and_behind_a_symbol() {
        let mut names = Names::default();
        names.push(0x200, 0, "edge");
        names.push(0x100, 0x10, "_ZN3foo3barEv");
        names.push(0x100, 0, "alias");
        names.sort();
        let at = |offset| {
            let mut place = Place::default();
            names.fill(offset, &mut place);
            (place.function, place.nearest)
        };
        assert_eq!(at(0xff), (None, None));
        assert_eq!(at(0x10f).0.as_deref(), Some("foo::bar()"));
        assert_eq!(at(0x110).1.as_deref(), Some("foo::bar()+0x10"));
        assert_eq!(at(0x200).0.as_deref(), Some("edge"));
    }
}
