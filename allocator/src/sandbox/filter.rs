//! A seccomp filter: the classic BPF machine over the description of a call.
//!
//! Source of the rules: Linux, `kernel/seccomp.c` (`seccomp_check_filter`: what is
//! allowed in a filter) and `net/core/filter.c`. A filter that the kernel would
//! refuse allows nothing here; it does not come into force then.

/// `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Instruction {
    /// Class, size or operation, source.
    pub code: u16,
    /// How far to jump if the comparison holds ...
    pub jump_true: u8,
    /// ... and if not.
    pub jump_false: u8,
    /// The constant.
    pub k: u32,
}

/// `struct seccomp_data` in words: number, architecture, instruction pointer, six
/// arguments.
type Data = [u32; 16];

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const ACTION: u32 = 0xffff_0000;
const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
/// The machine's scratch words.
const SCRATCH: usize = 16;
const OPERAND_X: u16 = 0x08;

/// Whether a filter lets a call pass.
pub fn allows(filter: &[Instruction], number: libc::c_long, third: usize) -> bool {
    let mut data: Data = [0; 16];
    data[0] = number as u32;
    data[1] = AUDIT_ARCH_X86_64;
    let pointer = allows as fn(_, _, _) -> _ as usize;
    (data[2], data[3]) = (pointer as u32, (pointer >> 32) as u32);
    (data[8], data[9]) = (third as u32, (third >> 32) as u32);
    matches!(run(filter, &data).map(|value| value & ACTION), Some(ALLOW | LOG))
}

/// What the filter returns; `None` if it is none.
fn run(filter: &[Instruction], data: &Data) -> Option<u32> {
    let (mut a, mut x) = (0_u32, 0_u32);
    let mut scratch = [0_u32; SCRATCH];
    let mut at = 0;
    loop {
        let Instruction { code, jump_true, jump_false, k } = *filter.get(at)?;
        at += 1;
        let operand = if code & OPERAND_X != 0 { x } else { k };
        match code {
            0x20 => a = *data.get((k / 4) as usize).filter(|_| k % 4 == 0)?,
            0x00 => a = k,
            0x01 => x = k,
            0x80 => a = size_of::<Data>() as u32,
            0x81 => x = size_of::<Data>() as u32,
            0x60 => a = *scratch.get(k as usize)?,
            0x61 => x = *scratch.get(k as usize)?,
            0x02 => *scratch.get_mut(k as usize)? = a,
            0x03 => *scratch.get_mut(k as usize)? = x,
            0x04 | 0x0c => a = a.wrapping_add(operand),
            0x14 | 0x1c => a = a.wrapping_sub(operand),
            0x24 | 0x2c => a = a.wrapping_mul(operand),
            // A division by zero ends the filter with 0: kill.
            0x34 | 0x3c => match a.checked_div(operand) {
                Some(quotient) => a = quotient,
                None => return Some(0),
            },
            0x44 | 0x4c => a |= operand,
            0x54 | 0x5c => a &= operand,
            0x64 | 0x6c => a = a.checked_shl(operand).unwrap_or(0),
            0x74 | 0x7c => a = a.checked_shr(operand).unwrap_or(0),
            0xa4 | 0xac => a ^= operand,
            0x84 => a = a.wrapping_neg(),
            0x05 => at += k as usize,
            0x15 | 0x1d => at += jump(a == operand, jump_true, jump_false),
            0x25 | 0x2d => at += jump(a > operand, jump_true, jump_false),
            0x35 | 0x3d => at += jump(a >= operand, jump_true, jump_false),
            0x45 | 0x4d => at += jump(a & operand != 0, jump_true, jump_false),
            0x06 => return Some(k),
            0x16 => return Some(a),
            0x07 => x = a,
            0x87 => a = x,
            _ => return None,
        }
    }
}

fn jump(holds: bool, jump_true: u8, jump_false: u8) -> usize {
    usize::from(if holds { jump_true } else { jump_false })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn op(code: u16, k: u32) -> Instruction {
        Instruction { code, jump_true: 0, jump_false: 0, k }
    }

    const fn if_equal(k: u32, jump_true: u8, jump_false: u8) -> Instruction {
        Instruction { code: 0x15, jump_true, jump_false, k }
    }

    /// As libseccomp writes it: architecture, number, one argument.
    const LIST: [Instruction; 9] = [
        op(0x20, 4),
        if_equal(AUDIT_ARCH_X86_64, 0, 5),
        op(0x20, 0),
        if_equal(libc::SYS_mmap as u32, 4, 0),
        if_equal(libc::SYS_madvise as u32, 0, 2),
        op(0x20, 32),
        if_equal(libc::MADV_DONTNEED as u32, 1, 0),
        op(0x06, 0x8000_0000),
        op(0x06, ALLOW),
    ];

    #[test]
    fn numbers_and_arguments() {
        assert!(allows(&LIST, libc::SYS_mmap, 0));
        assert!(!allows(&LIST, libc::SYS_munmap, 0));
        assert!(allows(&LIST, libc::SYS_madvise, libc::MADV_DONTNEED as usize));
        assert!(!allows(&LIST, libc::SYS_madvise, 102));
    }

    #[test]
    fn actions() {
        for (action, allowed) in
            [(0, false), (0x0005_0001, false), (0x7ff0_0000, false), (LOG, true), (ALLOW, true)]
        {
            assert_eq!(allows(&[op(0x06, action)], 1, 0), allowed, "{action:#x}");
        }
    }

    #[test]
    fn arithmetic_scratch_and_registers() {
        // a = ((5 << 2) - 6) ^ 3, kept and taken back through x.
        let filter = [
            op(0x00, 5),
            op(0x64, 2),
            op(0x14, 6),
            op(0xa4, 3),
            op(0x02, 7),
            op(0x61, 7),
            op(0x00, 1),
            op(0x0c, 0),
            op(0x16, 0),
        ];
        assert_eq!(run(&filter, &[0; 16]), Some(((20 - 6) ^ 3) + 1));
        assert_eq!(run(&[op(0x34, 0), op(0x06, ALLOW)], &[0; 16]), Some(0));
        assert_eq!(run(&[op(0x80, 0), op(0x16, 0)], &[0; 16]), Some(64));
    }

    /// Running off the end, loads off the data, unknown codes: no filter.
    #[test]
    fn what_is_no_filter_allows_nothing() {
        let filters: [&[Instruction]; 6] = [
            &[],
            &[op(0x05, 9)],
            &[op(0x20, 64), op(0x06, ALLOW)],
            &[op(0x20, 2), op(0x06, ALLOW)],
            &[op(0x60, 16), op(0x06, ALLOW)],
            &[op(0xffff, 0)],
        ];
        for filter in filters {
            assert_eq!(run(filter, &[0; 16]), None);
            assert!(!allows(filter, 0, 0));
        }
    }
}
