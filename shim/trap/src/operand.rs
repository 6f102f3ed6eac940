//! Where a memory operand lies.
//!
//! All addressing forms of 64-bit mode: base, index, scale, displacement, RIP, the
//! bases of fs and gs, addresses of 32 bits. (Intel SDM volume 1, 3.7.5.)

use crate::context::{Machine, RAX, RBX, RSP};
use crate::insn::Insn;
use crate::shape::{ModRm, Segment};

/// Not an index.
const NO_INDEX: u8 = 4;
/// With mode 0: no base (SIB) or RIP (without).
const NO_BASE: u8 = 5;

impl Machine<'_> {
    /// Address of the ModRM operand.
    pub fn effective(&self, insn: &Insn, modrm: &ModRm) -> usize {
        self.effective_with(insn, modrm, self.gprs[RSP])
    }

    /// The same with another value for rsp, for `pop`.
    pub fn effective_with(&self, insn: &Insn, modrm: &ModRm, rsp: u64) -> usize {
        let shape = &insn.shape;
        let gpr = |n: u8| if n as usize == RSP { rsp } else { self.gprs[n as usize & 15] };
        let base = match modrm.sib {
            Some(sib) => {
                let mut sum = match sib & 7 {
                    NO_BASE if modrm.mode() == 0 => 0,
                    base => gpr(base | shape.base_high),
                };
                let index = sib >> 3 & 7 | shape.index_high;
                if index != NO_INDEX {
                    sum = sum.wrapping_add(gpr(index) << (sib >> 6));
                }
                sum
            }
            None if modrm.mode() == 0 && modrm.rm() == NO_BASE => self.rip + insn.len as u64,
            None => gpr(modrm.rm() | shape.base_high),
        };
        self.linear(insn, base.wrapping_add(insn.disp as i64 as u64))
    }

    /// Base register of a vector of addresses, with the displacement.
    pub fn vector_base(&self, insn: &Insn, modrm: &ModRm) -> u64 {
        let base = match modrm.sib.map(|sib| sib & 7) {
            Some(NO_BASE) if modrm.mode() == 0 => 0,
            base => self.gprs[(base.unwrap_or(0) | insn.shape.base_high) as usize],
        };
        base.wrapping_add(insn.disp as i64 as u64)
    }

    /// Cuts an offset to the address size and adds the segment's base.
    pub fn linear(&self, insn: &Insn, offset: u64) -> usize {
        let offset = if insn.shape.addr32 { offset & 0xffff_ffff } else { offset };
        offset.wrapping_add(insn.shape.segment.map_or(0, segment_base)) as usize
    }

    /// Address that `mov al, [moffs]` and its like have in their bytes.
    pub fn direct_address(&self, insn: &Insn) -> usize {
        let mut offset = [0; 8];
        let bytes = &insn.bytes[insn.shape.body..insn.len];
        offset[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
        self.linear(insn, u64::from_le_bytes(offset))
    }

    /// Address that `xlat` reads.
    pub fn table_address(&self, insn: &Insn) -> usize {
        self.linear(insn, self.gprs[RBX].wrapping_add(self.gprs[RAX] & 0xff))
    }
}

/// The handler runs with the program's segment bases, so the kernel can be asked.
fn segment_base(segment: Segment) -> u64 {
    const ARCH_GET_FS: libc::c_int = 0x1003;
    const ARCH_GET_GS: libc::c_int = 0x1004;
    let which = match segment {
        Segment::Fs => ARCH_GET_FS,
        Segment::Gs => ARCH_GET_GS,
    };
    let mut base = 0_u64;
    // SAFETY: the call writes one word, and cannot fail.
    unsafe { libc::syscall(libc::SYS_arch_prctl, which, &raw mut base) };
    base
}
