//! Every encoding with a memory operand, on open memory and through the trap.
//!
//! All opcodes of all maps, with all mandatory prefixes, widths, vector lengths,
//! masks and broadcasts; registers, addressing and the operand's place are random.
//! The processor is the judge: what it does on open memory must come out of the
//! trap. `DEADWALK_TRAP_SEED` and `DEADWALK_TRAP_ROUNDS` replay and prolong.

#[path = "harness/encodings.rs"]
mod encodings;
mod harness;

use encodings::{encodings, is_excluded, loads_segment};
use harness::{Outcome, PAGE, Random, Region, Run, State, component, random_state};
use yaxpeax_arch::LengthedInstruction;
use yaxpeax_x86::long_mode::{InstDecoder, Instruction, Operand, RegSpec};

/// What a sweep saw.
#[derive(Default, Debug)]
struct Seen {
    tried: usize,
    trace: bool,
    trapped: usize,
    refused: std::collections::BTreeMap<String, (usize, String)>,
}

#[test]
fn every_encoding_as_native() {
    let seed = std::env::var("DEADWALK_TRAP_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| {
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(1, |d| d.as_nanos() as u64)
                | 1
        });
    let rounds: u32 =
        std::env::var("DEADWALK_TRAP_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("DEADWALK_TRAP_SEED={seed}");
    let region = Region::new();
    harness::alternate_stack();
    let mut random = Random(seed);
    let mut seen =
        Seen { trace: std::env::var_os("DEADWALK_TRAP_TRACE").is_some(), ..Seen::default() };
    let mut wrong = Vec::new();
    for _ in 0..rounds {
        // SAFETY: this is the only thread that traps.
        unsafe { deadwalk_trap::discard_code() };
        encodings(&mut random, |code, random| one(&region, code, random, &mut seen, &mut wrong));
    }
    println!("{} tried, {} trapped", seen.tried, seen.trapped);
    for (what, count) in &seen.refused {
        println!("  refused {}: {what}, for example {}", count.0, count.1);
    }
    wrong.truncate(60);
    assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    assert!(seen.trapped * 3 > seen.tried, "hardly anything trapped");
}

fn one(
    region: &Region,
    code: &mut [u8; 15],
    random: &mut Random,
    seen: &mut Seen,
    wrong: &mut Vec<String>,
) {
    let Ok(mut insn) = InstDecoder::default().decode_slice(code) else {
        return unknown(region, code, random, seen, wrong);
    };
    if is_excluded(&insn) || loads_segment(&insn) {
        return;
    }
    let mut state = random_state(region, random);
    let target = place(region, random, &insn);
    let len = insn.len().to_const() as usize;
    // Displacements of 32 bits that lead far away are fine, but not RIP's.
    if !aim(region, &mut insn, code, &mut state, target, random) {
        return;
    }
    let (whole, code) = (*code, &code[..len]);
    let mut memory = [0_u8; 8 * PAGE];
    random.fill(&mut memory);
    // Floats that are numbers more often, and places to jump to.
    if random.below(2) == 0 {
        for chunk in memory.chunks_exact_mut(8) {
            let value = (random.below(1000) as f64 - 500.0) / 8.0;
            chunk.copy_from_slice(&value.to_le_bytes());
        }
    }
    fit(region, &insn, &mut state, &mut memory, target);
    seen.tried += 1;
    // A fault inside the handler kills the process: the last line says where.
    if seen.trace {
        eprintln!("{:?} {code:02x?} at {:x}", insn.opcode(), target - region.base());
    }
    region.bytes()[..7 * PAGE].copy_from_slice(&memory[..7 * PAGE]);
    let mut native = region.run(code, &state, false);
    let native_memory = region.bytes().to_vec();
    region.bytes()[..7 * PAGE].copy_from_slice(&memory[..7 * PAGE]);
    let mut trapped = region.run(code, &state, true);
    if trapped.traps > 0 {
        seen.trapped += 1;
    }
    if let Outcome::Signal(..) = native.outcome {
        for run in [&mut native, &mut trapped] {
            settle_gather(code, run);
        }
    }
    if let Outcome::Refused(why) = trapped.outcome {
        let entry = seen.refused.entry(format!("{:?} {:?}", insn.opcode(), why)).or_default();
        entry.0 += 1;
        entry.1 = format!("{code:02x?} at {:x}", target - region.base());
        return;
    }
    if let Some(difference) = difference(&native, &trapped, &native_memory, region.bytes()) {
        wrong.push(format!(
            "{:?} {code:02x?} at {:x}, {:x?}: {difference}",
            insn.opcode(),
            target - region.base(),
            native.outcome
        ));
    }
    // The length that was logged, against the processor: right before memory that is
    // not there nothing faults, a byte (or what is aligned) further it does.
    let [access] = trapped.log[..] else { return };
    let inside = target >= region.guarded()
        && target + (access.len as u64) < region.guarded() + 3 * PAGE as u64;
    if !inside
        || native.outcome != Outcome::Done(1)
        || access.address as u64 != target
        || is_masked(&insn, code)
    {
        return;
    }
    let end = region.base() + 7 * PAGE as u64;
    for (at, faults) in [(end - access.len as u64, false), (end - access.len as u64 + 1, true)] {
        let (mut state, mut code) = (state.clone(), whole);
        if !aim(region, &mut insn, &mut code, &mut state, at, random) {
            return;
        }
        fit(region, &insn, &mut state, &mut memory, target);
        let offset = (at - region.base()) as usize;
        region.bytes()[offset..7 * PAGE]
            .copy_from_slice(&memory[(target - region.base()) as usize..][..7 * PAGE - offset]);
        let run = region.run(&code[..len], &state, false);
        let faulted = matches!(run.outcome, Outcome::Signal(libc::SIGSEGV, ..));
        if faulted != faults && !(faults && access.len == 1 && is_flush(&insn)) {
            wrong.push(format!(
                "{:?} {code:02x?}: logged {} bytes; {at:x} then {:x?}",
                insn.opcode(),
                access.len,
                run.outcome
            ));
        }
    }
}

/// Cache lines are flushed by any of their bytes.
fn is_flush(insn: &Instruction) -> bool {
    use yaxpeax_x86::long_mode::Opcode::*;
    matches!(insn.opcode(), CLFLUSH | CLFLUSHOPT | CLWB)
}

fn is_masked(insn: &Instruction, code: &[u8]) -> bool {
    use yaxpeax_x86::long_mode::Opcode::*;
    // Saved states are as long as what is in them and aligned to more; bit tests and
    // strings go elsewhere.
    let state = matches!(
        insn.opcode(),
        XSAVE
            | XSAVEC
            | XSAVEC64
            | XRSTOR
            | FXSAVE
            | FXRSTOR
            | BT
            | BTS
            | BTR
            | BTC
            | MOVS
            | CMPS
            | SCAS
            | STOS
            | LODS
    );
    let name = format!("{:?}", insn.opcode());
    state
        || name.contains("GATHER")
        || name.contains("MASKMOV")
        || code[0] == 0x62 && code[3] & 7 != 0
}

/// What the test's decoder does not know: vector instructions, at `[rdi]` or near it.
fn unknown(
    region: &Region,
    code: &[u8; 15],
    random: &mut Random,
    seen: &mut Seen,
    wrong: &mut Vec<String>,
) {
    let modrm = match code[0] {
        0xc4 => 4,
        0x62 => 5,
        _ => return,
    };
    let mut code = *code;
    code[1] |= 0x60;
    code[modrm] = code[modrm] & 0x38 | 7 | if random.below(2) == 0 { 0x40 } else { 0 };
    code[modrm + 1] = 1;
    let end = modrm + 1 + (code[modrm] >> 6) as usize;
    let mut state = random_state(region, random);
    state.gprs[7] = region.guarded() + 64 * random.below(60);
    let mut memory = [0_u8; 7 * PAGE];
    random.fill(&mut memory);
    for len in [end, end + 1] {
        region.bytes()[..7 * PAGE].copy_from_slice(&memory);
        let native = region.run(&code[..len], &state, false);
        if native.outcome != Outcome::Done(1) {
            continue;
        }
        let native_memory = region.bytes().to_vec();
        region.bytes()[..7 * PAGE].copy_from_slice(&memory);
        let trapped = region.run(&code[..len], &state, true);
        if let Outcome::Refused(_) = trapped.outcome {
            let map = code[1] & 7;
            seen.refused.entry(format!("unknown, map {map}")).or_default().0 += 1;
        } else if let Some(difference) =
            difference(&native, &trapped, &native_memory, region.bytes())
        {
            wrong.push(format!("unknown {:02x?}: {difference}", &code[..len]));
        }
        return;
    }
}

fn place(region: &Region, random: &mut Random, insn: &Instruction) -> u64 {
    let align = if random.below(3) == 0 { !0 } else { !63 };
    let offset = match random.below(8) {
        // Into the guarded pages, across their pages, out of them.
        0 => 2 * PAGE as u64 - random.below(40),
        1 => 3 * PAGE as u64 - random.below(40),
        2 => 5 * PAGE as u64 - random.below(70),
        _ => (2 * PAGE as u64 + random.below(2 * PAGE as u64)) & align,
    };
    let _ = insn;
    region.base() + offset
}

fn number(reg: RegSpec) -> usize {
    reg.num() as usize & 15
}

/// Sets registers (and a RIP-relative displacement) so that the operand is at `target`.
fn aim(
    region: &Region,
    insn: &mut Instruction,
    code: &mut [u8; 15],
    state: &mut State,
    target: u64,
    random: &mut Random,
) -> bool {
    let operand = (0..insn.operand_count()).map(|n| insn.operand(n)).find(|o| o.is_memory());
    let Some(operand) = operand else { return false };
    let len = insn.len().to_const() as usize;
    let rip = RegSpec::rip();
    let eip = RegSpec::eip();
    match operand {
        Operand::MemDeref { base } | Operand::MemDerefMasked { base, .. } => {
            state.gprs[number(base)] = target;
        }
        Operand::Disp { base, disp } | Operand::DispMasked { base, disp, .. } => {
            if base == rip || base == eip {
                // The displacement is the last four bytes before the immediate: found
                // by its value.
                let Some(at) = (1..=len - 4).find(|&n| code[n..n + 4] == disp.to_le_bytes()) else {
                    return false;
                };
                let new = target.wrapping_sub(region.code() + len as u64) as i64;
                code[at..at + 4].copy_from_slice(&(new as i32).to_le_bytes());
                return new == new as i32 as i64;
            }
            state.gprs[number(base)] = target.wrapping_sub(disp as i64 as u64);
        }
        Operand::MemBaseIndexScale { base, index, scale }
        | Operand::MemBaseIndexScaleMasked { base, index, scale, .. } => {
            return two(state, base, index, scale, 0, target, random);
        }
        Operand::MemBaseIndexScaleDisp { base, index, scale, disp }
        | Operand::MemBaseIndexScaleDispMasked { base, index, scale, disp, .. } => {
            return two(state, base, index, scale, disp, target, random);
        }
        _ => return false,
    }
    true
}

fn two(
    state: &mut State,
    base: RegSpec,
    index: RegSpec,
    scale: u8,
    disp: i32,
    target: u64,
    random: &mut Random,
) -> bool {
    if base == index {
        return false;
    }
    // A vector of indexes: small ones.
    let vector = index.width() > 8;
    if vector {
        let n = index.num() as usize;
        for lane in 0..4 {
            let value = (random.below(64)) as i32;
            let at = if n < 16 { 160 + 16 * n } else { component(7) + 64 * (n - 16) } + 4 * lane;
            state.area[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        state.gprs[number(base)] = target.wrapping_sub(disp as i64 as u64);
        return true;
    }
    let sum = state.gprs[number(index)].wrapping_mul(scale as u64).wrapping_add(disp as i64 as u64);
    state.gprs[number(base)] = target.wrapping_sub(sum);
    true
}

/// Makes an instruction find what it can work with.
fn fit(region: &Region, insn: &Instruction, state: &mut State, memory: &mut [u8], target: u64) {
    use yaxpeax_x86::long_mode::Opcode::*;
    let at = (target - region.base()) as usize;
    match insn.opcode() {
        CALL | JMP => memory[at..at + 8].copy_from_slice(&harness::elsewhere().to_le_bytes()),
        XSAVE | XSAVEC | XSAVEC64 | XRSTOR => {
            (state.gprs[0], state.gprs[2]) = (0xe7, 0);
        }
        _ => {}
    }
    // The wanted mask of gathers and vmaskmov is random; string counts are short.
    if matches!(insn.opcode(), MOVS | STOS | LODS | SCAS | CMPS) {
        state.gprs[1] &= 0x1ff;
        for n in [6, 7] {
            let inside = state.gprs[n].wrapping_sub(region.base()) < 6 * PAGE as u64;
            if !inside {
                state.gprs[n] = region.base() + 3 * PAGE as u64 + state.gprs[1];
            }
        }
    }
}

/// How far a gather came that ends in a signal, the sign bits of its mask say. Whether
/// they are spread over their lanes first, and what lies above the vectors is zero
/// already, is up to the processor, for each half.
fn settle_gather(code: &[u8], run: &mut Run) {
    let Some(&[first, last, opcode @ 0x90..=0x93, modrm, ..]) =
        code.iter().position(|&byte| byte == 0xc4).and_then(|vex| code.get(vex + 1..))
    else {
        return;
    };
    let lane = if last >> 7 == 1 { 8 } else { 4 };
    // With indexes of 64 bits there are half as many lanes of 32.
    let width = if last & 4 != 0 { 32 } else { 16 } >> u32::from(lane == 4 && opcode & 1 != 0);
    let mask = (!last >> 3 & 15) as usize;
    let register = ((modrm >> 3 & 7) | (!first >> 7 & 1) << 3) as usize;
    let (halves, tops) = (component(2), component(6));
    for half in [160 + 16 * mask, halves + 16 * mask] {
        for lane in run.state.area[half..half + 16].chunks_exact_mut(lane) {
            let sign = if lane[lane.len() - 1] >> 7 == 1 { 0xff } else { 0 };
            lane.fill(sign);
        }
    }
    for register in [mask, register] {
        run.state.area[160 + 16 * register..][..16][width.min(16)..].fill(0);
        if width <= 16 {
            run.state.area[halves + 16 * register..][..16].fill(0);
        }
        // There are none without AVX-512.
        if tops != 0 {
            run.state.area[tops + 32 * register..][..32].fill(0);
        }
    }
}

fn difference(native: &Run, trapped: &Run, native_memory: &[u8], memory: &[u8]) -> Option<String> {
    if native.outcome != trapped.outcome {
        return Some(format!("native {:x?}, trapped {:x?}", native.outcome, trapped.outcome));
    }
    if let Some(n) = (0..16).find(|&n| native.state.gprs[n] != trapped.state.gprs[n]) {
        return Some(format!(
            "register {n}: native {:x}, trapped {:x}",
            native.state.gprs[n], trapped.state.gprs[n]
        ));
    }
    if native.state.flags != trapped.state.flags {
        return Some(format!(
            "flags: native {:x}, trapped {:x}",
            native.state.flags, trapped.state.flags
        ));
    }
    let same = |n: &usize| native.state.area[*n] == trapped.state.area[*n];
    if let Some(n) = (0..harness::AREA).find(|n| !same(n) && !(464..576).contains(n)) {
        return Some(format!(
            "vector state at {n}: native {:x?}, trapped {:x?}",
            &native.state.area[n & !7..][..8],
            &trapped.state.area[n & !7..][..8]
        ));
    }
    let n = (0..memory.len()).find(|&n| native_memory[n] != memory[n])?;
    Some(format!(
        "memory at {n:x}: native {:x?}, trapped {:x?}",
        &native_memory[n & !7..][..8],
        &memory[n & !7..][..8]
    ))
}
