//! Registers and memory of the hand-written tests, and the comparison of both runs.

use super::{Outcome, PAGE, Random, Region, Run, State, random_state};

/// A page.
pub const P: u64 = PAGE as u64;

/// The registers that `forms.rs` describes.
pub fn state(region: &Region) -> State {
    let mut state = random_state(region, &mut Random(0x5eed));
    let g = region.guarded();
    let gprs = &mut state.gprs;
    (gprs[0], gprs[1], gprs[2], gprs[3]) = (0x1122, 3, 1, g + 0x140);
    (gprs[5], gprs[6], gprs[7]) = (g + 0x300, g + 0x200, g + 0x100);
    (gprs[8], gprs[9], gprs[10], gprs[11]) =
        (region.base() + 0x200, g + P - 4, g - 4, g + 3 * P - 4);
    (gprs[12], gprs[13], gprs[14], gprs[15]) = (0x10, g + 0x400, 5, 0x8877_6655_4433_2211);
    state.flags = 2;
    state
}

/// Memory that instructions can work with.
pub fn fill(region: &Region) {
    let mut random = Random(0xf111);
    let memory = &mut region.bytes()[..7 * PAGE];
    random.fill(memory);
    let at = |offset: usize| 2 * PAGE + offset;
    // Where call and jmp find their target, divisors, a float of eighty bits.
    memory[at(0x100)..at(0x108)].copy_from_slice(&super::elsewhere().to_le_bytes());
    memory[at(0x400)..at(0x408)].copy_from_slice(&0x1234_5678_u64.to_le_bytes());
    memory[at(0x500)..at(0x50a)].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0x40]);
    memory[at(0x700)..at(0x708)].copy_from_slice(&3.0_f64.to_le_bytes());
    memory[at(0x708)..at(0x710)].copy_from_slice(&0.0_f64.to_le_bytes());
    memory[at(0x600)..at(0x604)].copy_from_slice(&0x1f80_u32.to_le_bytes());
}

/// Both runs of a piece of code; `None` if the processor does not know it.
pub fn both(region: &Region, name: &str, code: &[u8], state: &State) -> Option<(Run, Run)> {
    fill(region);
    let native = region.run(code, state, false);
    let native_memory = region.bytes().to_vec();
    if let Outcome::Signal(libc::SIGILL, ..) = native.outcome {
        println!("skipped: this processor has no {name}");
        return None;
    }
    fill(region);
    let trapped = region.run(code, state, true);
    assert_eq!(native.outcome, trapped.outcome, "{name}");
    assert_eq!(native.state.gprs, trapped.state.gprs, "{name}");
    assert_eq!(native.state.flags, trapped.state.flags, "{name}");
    for n in (0..super::AREA).filter(|n| !(464..576).contains(n)) {
        assert_eq!(native.state.area[n], trapped.state.area[n], "{name}: vector state at {n}");
    }
    for (n, byte) in native_memory.iter().enumerate() {
        assert_eq!(*byte, region.bytes()[n], "{name}: memory at {n:x}");
    }
    Some((native, trapped))
}
