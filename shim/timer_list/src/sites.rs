//! Return addresses of calls, as short numbers: a record keeps two.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::addr_map::AddrHasher;

/// A site's number; 0 for none.
pub type SiteId = u16;

/// Sites looked up last, by a hash.
const RECENT: usize = 16;

/// All sites.
#[derive(Debug)]
pub struct Sites {
    recent: [(usize, SiteId); RECENT],
    addrs: Vec<usize>,
    ids: HashMap<usize, SiteId, BuildHasherDefault<AddrHasher>>,
}

impl Sites {
    /// None yet.
    pub const fn new() -> Self {
        Sites {
            recent: [(0, 0); RECENT],
            addrs: Vec::new(),
            ids: HashMap::with_hasher(BuildHasherDefault::new()),
        }
    }

    /// The number of a site. 0, which reports leave out, for want of memory and of
    /// numbers: no program calls from 65,535 places.
    #[inline]
    pub fn number(&mut self, site: usize) -> SiteId {
        // Calls are some bytes apart.
        let recent = (site ^ site >> 4) % RECENT;
        if self.recent[recent].0 != site {
            self.recent[recent] = (site, self.look_up(site));
        }
        self.recent[recent].1
    }

    #[cold]
    fn look_up(&mut self, site: usize) -> SiteId {
        if let Some(&number) = self.ids.get(&site) {
            return number;
        }
        let Ok(number) = SiteId::try_from(self.addrs.len() + 1) else { return 0 };
        if site == 0 || self.ids.try_reserve(1).is_err() || self.addrs.try_reserve(1).is_err() {
            return 0;
        }
        self.addrs.push(site);
        self.ids.insert(site, number);
        number
    }

    /// The site of a number.
    pub fn site(&self, number: SiteId) -> usize {
        usize::from(number).checked_sub(1).map_or(0, |i| self.addrs[i])
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn sites_and_numbers() {
        let mut sites = Sites::new();
        let numbers: Vec<SiteId> = (1..=0xffff).map(|site| sites.number(site * 3)).collect();
        for (number, site) in numbers.into_iter().zip(1..) {
            assert_eq!((sites.site(number), sites.number(site * 3)), (site * 3, number));
        }
        assert_eq!((sites.number(1), sites.number(0), sites.site(0)), (0, 0, 0));
    }
}
