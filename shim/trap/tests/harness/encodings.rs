//! The encodings that `native.rs` goes through, and those that it must keep away from.

use crate::harness::Random;
use yaxpeax_x86::long_mode::{Instruction, Operand, RegSpec};

/// All heads of instructions, with random tails.
pub fn encodings(random: &mut Random, mut each: impl FnMut(&mut [u8; 15], &mut Random)) {
    for map in 0..4_usize {
        for opcode in 0..=255_u8 {
            for prefix in [0, 0x66, 0xf2, 0xf3, 0xf0] {
                for rex in [0, 0x40, 0x48] {
                    for digit in 0..8 {
                        let mut code = Tail::new(random);
                        code.put(&[0x67, 0x64][..(random.below(8) == 0) as usize]);
                        code.put(&[prefix][..(prefix != 0) as usize]);
                        let bits = (random.next() & 7) as u8;
                        code.put(&[rex | if rex != 0 { bits } else { 0 }][..(rex != 0) as usize]);
                        code.put([&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]][map]);
                        code.put(&[opcode]);
                        code.modrm(digit);
                        each(&mut code.bytes, random);
                    }
                }
            }
        }
    }
    for map in [1, 2, 3, 5, 6] {
        for opcode in 0..=255_u8 {
            for form in 0..(4 * 2 * 4 * 2) as u8 {
                let (pp, wide, length, mask) =
                    (form & 3, form >> 2 & 1, form >> 3 & 3, form >> 5 & 1);
                let digit = random.below(8) as u8;
                let vvvv = random.below(16) as u8;
                if length < 2 && map < 4 && mask == 0 {
                    for vvvv in [0, vvvv] {
                        let mut code = Tail::new(random);
                        let high = (random.next() & 0xe0) as u8;
                        code.put(&[
                            0xc4,
                            high | map,
                            wide << 7 | (!vvvv & 15) << 3 | length << 2 | pp,
                            opcode,
                        ]);
                        code.modrm(digit);
                        each(&mut code.bytes, random);
                    }
                }
                for broadcast in [0, 1_u8] {
                    for vvvv in [0, vvvv] {
                        let mut code = Tail::new(random);
                        let high = (random.next() & 0xf0) as u8;
                        let k = if mask != 0 { 1 + random.below(7) as u8 } else { 0 };
                        let zero = (random.next() & 0x80) as u8 & if mask != 0 { 0x80 } else { 0 };
                        code.put(&[
                            0x62,
                            high | map,
                            wide << 7 | (!vvvv & 15) << 3 | 4 | pp,
                            zero | length << 5 | broadcast << 4 | 8 | k,
                            opcode,
                        ]);
                        code.modrm(digit);
                        each(&mut code.bytes, random);
                    }
                }
            }
        }
    }
}

struct Tail {
    bytes: [u8; 15],
    len: usize,
}

impl Tail {
    fn new(random: &mut Random) -> Tail {
        let mut bytes = [0; 15];
        random.fill(&mut bytes);
        Tail { bytes, len: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// A random memory form with this middle field.
    fn modrm(&mut self, digit: u8) {
        let vector = self.bytes[self.len + 1] & 0x80 != 0;
        let byte = &mut self.bytes[self.len];
        *byte = *byte & 0xc7 | digit << 3;
        // Vectors of addresses need a SIB byte.
        if vector {
            *byte = *byte & 0xf8 | 4;
        }
        if *byte >> 6 == 3 {
            *byte ^= 0x80;
        }
    }
}

/// What is not to be run natively, or differs by right.
pub fn is_excluded(text: &Instruction) -> bool {
    use yaxpeax_x86::long_mode::Opcode::*;
    matches!(
        text.opcode(),
        // Privileged, system or far.
        IN | OUT | INS | OUTS | HLT | SYSCALL | SYSENTER | SYSEXIT | SYSRET | INT | IRET | IRETD | IRETQ
        | CALLF | JMPF | RETF | LSS | LFS | LGS | STR | SLDT | SGDT | SIDT | SMSW | LMSW | LLDT | LTR | LGDT | LIDT
        // Their image depends on what was modified since.
        | XSAVEOPT | XSAVES | XRSTORS | XSAVES64 | XRSTORS64
        // Leave the frame.
        | XBEGIN | XABORT | UIRET | LEAVE | ENTER
    )
}

pub fn loads_segment(insn: &Instruction) -> bool {
    let Operand::Register { reg } = insn.operand(0) else { return false };
    [RegSpec::cs(), RegSpec::ds(), RegSpec::es(), RegSpec::ss(), RegSpec::fs(), RegSpec::gs()]
        .contains(&reg)
}
