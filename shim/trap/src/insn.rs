//! An instruction: its shape, and what the decoder knows of its memory operand.
//!
//! yaxpeax-x86 decodes into a value on the stack, without tables that are built at
//! first use; that is why it may be used in a signal handler. Where it leaves open
//! what is accessed (state-saving instructions, bit tests), `forms.rs` says it.

use crate::access::AccessKind;
use crate::shape::{Coding, LONGEST, Shape};
use crate::unknown::{self, Known};
use crate::{Refused, forms, plain};
use std::ptr;
use yaxpeax_arch::{Decoder, LengthedInstruction, U8Reader};
use yaxpeax_x86::Access;
use yaxpeax_x86::long_mode::{InstDecoder, Instruction, Operand, RegSpec};

const PAGE: usize = 4096;

/// What a memory operand is: how long, and what is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Bytes, without regard to masks.
    pub len: usize,
    /// Read, written or both.
    pub kind: AccessKind,
}

/// One decoded instruction.
#[derive(Debug)]
pub struct Insn {
    /// Its bytes; those behind `len` mean nothing.
    pub bytes: [u8; LONGEST],
    /// Bytes.
    pub len: usize,
    /// Its parts.
    pub shape: Shape,
    /// Its memory operand, if there is one that is accessed.
    pub form: Option<Form>,
    /// rsp (or a part of it) is an operand, other than in an address.
    pub names_rsp: bool,
    /// Displacement of the memory operand, scaled.
    pub disp: i32,
}

impl Insn {
    /// The instruction at `rip`.
    ///
    /// # Errors
    ///
    /// [`Refused::Undecodable`].
    ///
    /// # Safety
    ///
    /// * The processor has fetched an instruction at `rip`, so it is mapped.
    pub unsafe fn fetch(rip: u64) -> Result<Insn, Refused> {
        let rip = rip as usize;
        let mut bytes = [0; LONGEST];
        let here = (PAGE - rip % PAGE).min(LONGEST);
        // SAFETY: up to the end of a page from which was executed.
        unsafe {
            ptr::copy_nonoverlapping(ptr::with_exposed_provenance(rip), bytes.as_mut_ptr(), here)
        };
        if here == LONGEST {
            return Insn::decode(&bytes);
        }
        if let Ok(insn) = Insn::decode(&bytes[..here]) {
            return Ok(insn);
        }
        if !plain::readable(rip + here) {
            return Err(Refused::Undecodable);
        }
        let rest = ptr::with_exposed_provenance(rip + here);
        // SAFETY: the kernel just read there.
        unsafe { ptr::copy_nonoverlapping(rest, bytes[here..].as_mut_ptr(), LONGEST - here) };
        Insn::decode(&bytes)
    }

    /// The instruction at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Refused::Undecodable`].
    pub fn decode(bytes: &[u8]) -> Result<Insn, Refused> {
        let shape = Shape::parse(bytes).ok_or(Refused::Undecodable)?;
        if let Some(known) = unknown::known(&shape) {
            return Insn::without_decoder(bytes, shape, known);
        }
        // A REX prefix before another prefix counts for nothing, but not to the decoder.
        let (mut clean, mut kept) = ([0; LONGEST], 0);
        for (n, &byte) in bytes.iter().take(LONGEST).enumerate() {
            if n >= shape.lead || byte & 0xf0 != 0x40 {
                clean[kept] = byte;
                kept += 1;
            }
        }
        let mut decoded = Instruction::invalid();
        InstDecoder::default()
            .decode_into(&mut decoded, &mut U8Reader::new(&clean[..kept]))
            .map_err(|_| Refused::Undecodable)?;
        let len = decoded.len().to_const() as usize + bytes.len().min(LONGEST) - kept;
        let mut copy = [0; LONGEST];
        copy[..len].copy_from_slice(bytes.get(..len).ok_or(Refused::Undecodable)?);
        // mov to control registers has no memory form, whatever its ModRM byte says.
        if shape.modrm.is_some_and(|m| m.end > len) || shape.body > len {
            return Err(Refused::Undecodable);
        }
        let mut insn = Insn {
            bytes: copy,
            len,
            shape,
            form: None,
            names_rsp: false,
            disp: shape.modrm.map_or(0, |m| m.disp),
        };
        let mut kind = None;
        for n in 0..decoded.operand_count() {
            let operand = decoded.operand(n);
            if let Operand::Register { reg } = operand {
                insn.names_rsp |= is_rsp(reg);
            } else if operand.is_memory() {
                kind = kind.or(decoded.behavior().operand_access(n));
                insn.scale_disp(&operand);
            }
        }
        let size = decoded.mem_size().and_then(|s| s.bytes_size()).unwrap_or(0);
        insn.form = forms::special(&shape).unwrap_or_else(|| {
            let kind = match kind? {
                Access::Read => AccessKind::Read,
                Access::Write => AccessKind::Write,
                Access::ReadWrite => AccessKind::Update,
                Access::None => return None,
            };
            (size > 0).then_some(Form { len: size.into(), kind })
        });
        Ok(insn)
    }

    /// What `unknown.rs` knows: no general register but in the address.
    fn without_decoder(bytes: &[u8], shape: Shape, known: Known) -> Result<Insn, Refused> {
        let modrm = shape.modrm.ok_or(Refused::Undecodable)?;
        let len = modrm.end + known.immediate;
        let mut copy = [0; LONGEST];
        copy.get_mut(..len)
            .zip(bytes.get(..len))
            .map(|(to, from)| to.copy_from_slice(from))
            .ok_or(Refused::Undecodable)?;
        let scale = if modrm.disp_len == 1 { known.scale } else { 1 };
        let disp = modrm.disp * scale;
        Ok(Insn { bytes: copy, len, shape, form: known.form, names_rsp: false, disp })
    }

    /// EVEX counts one-byte displacements in operands; the decoder has the table.
    fn scale_disp(&mut self, operand: &Operand) {
        let short = self.shape.modrm.is_some_and(|m| m.disp_len == 1);
        if self.shape.coding != Coding::Evex || !short {
            return;
        }
        if let Operand::Disp { disp, .. }
        | Operand::DispMasked { disp, .. }
        | Operand::MemIndexScaleDisp { disp, .. }
        | Operand::MemIndexScaleDispMasked { disp, .. }
        | Operand::MemBaseIndexScaleDisp { disp, .. }
        | Operand::MemBaseIndexScaleDispMasked { disp, .. } = *operand
        {
            self.disp = disp;
        }
    }
}

fn is_rsp(reg: RegSpec) -> bool {
    [RegSpec::rsp(), RegSpec::esp(), RegSpec::sp(), RegSpec::spl()].contains(&reg)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: the ModRM byte speaks of a displacement that is not there.
    #[test]
    fn a_modrm_byte_without_memory_is_no_panic() {
        assert!(Insn::decode(&[0x0f, 0x20, 0x41, 0xbc]).is_err());
    }

    #[test]
    fn bytes_that_end_too_early_are_undecodable() {
        let code = [0x62, 0xf1, 0x7e, 0xc9, 0x6f, 0x84, 0x24, 1, 2, 3, 4];
        assert!(Insn::decode(&code).is_ok());
        for len in 0..code.len() {
            assert!(matches!(Insn::decode(&code[..len]), Err(Refused::Undecodable)), "{len}");
        }
    }
}
