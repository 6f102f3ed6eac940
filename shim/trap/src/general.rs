//! Performs an instruction with one memory operand, on its alias.
//!
//! The operand is used in place where the alias has it in one piece, so what is
//! atomic for the program stays so. Otherwise (it begins or ends in plain memory)
//! it is gathered in a bounce buffer of the same alignment, and what was written is
//! scattered again.

use crate::access::AccessKind;
use crate::context::{Machine, RAX, RDX, RSP};
use crate::insn::{Form, Insn};
use crate::relocate::{Moved, relocate};
use crate::run::Frame;
use crate::vectors::{COMPONENTS, Vectors};
use crate::{Fault, Refused, divide, emulate, floats, forms, masks, memory, saved, stubs};

/// The strictest alignment that an instruction can see.
const ALIGNMENT: usize = 64;
/// The longest operand that may be in pieces (x87's state), and its misalignment.
const LONGEST_BOUNCE: usize = 108;

#[repr(C, align(64))]
struct Bounce([u8; ALIGNMENT + LONGEST_BOUNCE]);

/// The operand of one instruction.
struct Operand {
    address: usize,
    form: Form,
    /// Bytes that are accessed, if not all.
    active: u64,
}

impl Operand {
    /// Whether a part of the operand holds bytes that are accessed.
    fn overlaps(&self, at: usize, len: usize) -> bool {
        self.runs().any(|(run, bytes)| run < at + len && at < run + bytes)
    }

    /// Parts that are accessed, as offset and length.
    fn runs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (len, active) = (self.form.len, self.active);
        let whole = len > 64 || active.count_ones() as usize == len;
        let mut rest = if whole { 0 } else { active };
        let mut first = whole.then_some((0, len));
        std::iter::from_fn(move || {
            if let Some(all) = first.take() {
                return Some(all);
            }
            let at = (rest != 0).then(|| rest.trailing_zeros())?;
            let run = (!(rest >> at)).trailing_zeros().min(64 - at);
            rest &= if at + run == 64 { (1 << at) - 1 } else { u64::MAX << (at + run) };
            Some((at as usize, run as usize))
        })
    }
}

/// Performs `insn`.
///
/// # Errors
///
/// See [`Refused`]; memory and registers are as before then.
pub fn perform(m: &mut Machine, insn: &Insn) -> Result<(), Refused> {
    let modrm = insn.shape.modrm.filter(|m| m.mode() != 3);
    let modrm = modrm.ok_or(Refused::Unsupported("no memory operand"))?;
    let form = insn.form.ok_or(Refused::Unsupported("memory form"))?;
    let mut operand = Operand {
        address: m.effective(insn, &modrm),
        form,
        active: masks::active(m, insn, form.len),
    };
    let bit = BitOffset::of(m, insn);
    if let Some(bit) = &bit {
        operand.address = operand.address.wrapping_add(bit.distance as usize);
    }
    // That the operand is aligned as this processor wants it was looked at before the page
    // was: else it would not have been a page fault.
    if insn.shape.is_x87() && m.vectors.x87_pending() && !forms::is_no_wait(&insn.shape) {
        return Err(Refused::Unsupported("x87 exception pending"));
    }
    let write = form.kind != AccessKind::Read;
    let same = |alias: &*mut u8| (alias.addr() ^ operand.address).is_multiple_of(ALIGNMENT);
    let snapshot = divide::is_division(&insn.shape);
    match m.memory.direct(operand.address, form.len, write).filter(same) {
        Some(alias) if !snapshot => on_alias(m, insn, &operand, alias as u64, bit)?,
        _ => bounced(m, insn, &operand, bit)?,
    }
    for (at, len) in operand.runs() {
        m.memory.note(operand.address.wrapping_add(at), len, form.kind);
    }
    // It trapped on a lane that its mask does not name: one of those shuffles.
    if m.memory.log.as_slice().is_empty() {
        m.memory.note(operand.address, form.len, form.kind);
    }
    m.rip += insn.len as u64;
    Ok(())
}

fn bounced(
    m: &mut Machine,
    insn: &Insn,
    operand: &Operand,
    bit: Option<BitOffset>,
) -> Result<(), Refused> {
    let Form { len, kind } = operand.form;
    if len > LONGEST_BOUNCE {
        return Err(Refused::Unsupported("long operand in pieces"));
    }
    if !m.memory.any_guarded(operand.address, len) {
        return Err(Refused::NotGuarded);
    }
    let mut bounce = Bounce([0; ALIGNMENT + LONGEST_BOUNCE]);
    let start = operand.address % ALIGNMENT;
    let bytes = &mut bounce.0[start..start + len];
    // Shuffles read lanes that their mask does not name, so all is read that can be.
    for (from, piece) in memory::pieces(operand.address, len) {
        let at = from.wrapping_sub(operand.address);
        // A write must not begin before it is known that it can end.
        match m.memory.reach(from, piece, kind != AccessKind::Read) {
            // SAFETY: `reach` says that these bytes can be accessed.
            Ok(there) => unsafe { memory::copy(there, bytes[at..].as_mut_ptr(), piece) },
            Err(_) if !operand.overlaps(at, piece) => {}
            Err(refused) => return Err(refused),
        }
    }
    if divide::is_division(&insn.shape) && divide::would_fault(m, insn, bytes) {
        return Err(Fault::divide(m.rip));
    }
    let at = bytes.as_mut_ptr() as u64;
    on_alias(m, insn, operand, at, bit)?;
    if kind == AccessKind::Read {
        return Ok(());
    }
    for (at, len) in operand.runs() {
        let address = operand.address.wrapping_add(at);
        for (to, piece) in memory::pieces(address, len) {
            let there = m.memory.reach(to, piece, true)?;
            let from = &bounce.0[start + to.wrapping_sub(operand.address)..][..piece];
            // SAFETY: `reach` says that these bytes can be written.
            unsafe { memory::copy(from.as_ptr(), there, piece) };
        }
    }
    Ok(())
}

/// Performs `insn` with its operand at `alias`.
fn on_alias(
    m: &mut Machine,
    insn: &Insn,
    operand: &Operand,
    alias: u64,
    bit: Option<BitOffset>,
) -> Result<(), Refused> {
    let moved = relocate(insn).ok_or(Refused::Unsupported("operand"))?;
    let code = match stubs::find(&moved.stub) {
        Ok(code) => code,
        Err(refused) => {
            // SAFETY: `alias` is valid for the operand, see the callers.
            return unsafe { emulate::perform(m, insn, alias as *mut u8) }.ok_or(refused);
        }
    };
    // SAFETY: `alias` is valid for the operand, see the callers.
    let state = unsafe { saved::check(m, insn, alias as *const u8)? };
    let mut gprs = m.gprs;
    if let Some(bit) = &bit {
        gprs[bit.register] = bit.value;
    }
    if state {
        (gprs[RAX], gprs[RDX]) = (gprs[RAX] & COMPONENTS, 0);
    }
    gprs[moved.address_register as usize] = alias;
    if let Some(stand_in) = moved.stack_register {
        gprs[stand_in as usize] = gprs[RSP];
    }
    // Bit 1 is always set.
    let mut frame = Frame::new(gprs, m.flags & crate::context::STATUS | 2);
    let vectors = insn.shape.touches_vectors().then_some(m.vectors);
    if vectors.is_some_and(|v| v.area.is_null()) {
        return Err(Refused::Unsupported("no vector state in the frame"));
    }
    let run = |frame: &mut Frame, vectors: Option<Vectors>| {
        // SAFETY: the stub is this instruction with an operand that is valid and
        // aligned as it wants; what else could fault was looked at before.
        unsafe { frame.run(code, moved.frame_register, vectors) }
    };
    match vectors {
        Some(v) if floats::may_trap(&v, &insn.shape) => {
            floats::guarded(v, m.rip, |v| run(&mut frame, Some(v)))?
        }
        _ => run(&mut frame, vectors),
    }
    if insn.shape.is_x87() {
        m.vectors.fix_x87((code, m.rip), (alias, operand.address as u64));
    }
    if state {
        (frame.gprs[RAX], frame.gprs[RDX]) = (m.gprs[RAX], m.gprs[RDX]);
    }
    take_over(m, &frame, &moved, bit);
    Ok(())
}

/// Takes the results; registers that only served keep their values.
fn take_over(m: &mut Machine, frame: &Frame, moved: &Moved, bit: Option<BitOffset>) {
    let before = m.gprs;
    m.gprs = frame.gprs;
    m.gprs[RSP] = before[RSP];
    if let Some(n) = moved.stack_register {
        m.gprs[RSP] = frame.gprs[n as usize];
        m.gprs[n as usize] = before[n as usize];
    }
    for n in [moved.address_register, moved.frame_register] {
        m.gprs[n as usize] = before[n as usize];
    }
    if let Some(bit) = bit {
        m.gprs[bit.register] = before[bit.register];
    }
    m.set_status(frame.flags);
}

/// bt and its like with a register: it counts bits from the operand, far away too.
struct BitOffset {
    register: usize,
    /// Bytes from the operand's address to the word that is meant.
    distance: i64,
    /// The bit in that word.
    value: u64,
}

impl BitOffset {
    fn of(m: &Machine, insn: &Insn) -> Option<BitOffset> {
        let shape = &insn.shape;
        if shape.is_vex() || shape.map != 1 || !matches!(shape.opcode, 0xa3 | 0xab | 0xb3 | 0xbb) {
            return None;
        }
        let register = shape.reg() as usize;
        let size = shape.operand_size();
        let bits = match (size, m.gprs[register]) {
            (2, n) => n as i16 as i64,
            (4, n) => n as i32 as i64,
            (_, n) => n as i64,
        };
        let width = size as i64 * 8;
        let word = bits.div_euclid(width);
        Some(BitOffset {
            register,
            distance: word * size as i64,
            value: bits.rem_euclid(width) as u64,
        })
    }
}

/// Performs a simple move of our own making on a buffer of ours: its one operand.
///
/// # Errors
///
/// [`Refused::NoCode`].
pub fn on_buffer(m: &mut Machine, code: &[u8], buffer: &mut [u8]) -> Result<(), Refused> {
    let insn = Insn::decode(code)?;
    let form = Form { len: buffer.len(), kind: AccessKind::Update };
    let operand = Operand { address: buffer.as_ptr().addr(), form, active: u64::MAX };
    on_alias(m, &insn, &operand, buffer.as_mut_ptr() as u64, None)
}
