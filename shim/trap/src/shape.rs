//! Where the parts of an instruction lie among its bytes.
//!
//! The decoder says what an instruction does; to move one elsewhere it must also
//! be known which byte is the ModRM byte and which prefix carries the fourth
//! bits of register numbers. Pure: bytes in, positions out.

/// Longest instruction there is.
pub const LONGEST: usize = 15;

/// How opcode, registers and vector length are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Opcode bytes, with or without REX.
    Legacy,
    /// C5.
    Vex2,
    /// C4.
    Vex3,
    /// 62.
    Evex,
}

/// Segment whose base is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Thread-local storage of libc.
    Fs,
    /// Free for the program.
    Gs,
}

/// The ModRM byte with what follows it.
#[derive(Clone, Copy, Debug)]
pub struct ModRm {
    /// Index of the ModRM byte.
    pub at: usize,
    /// The byte itself.
    pub byte: u8,
    /// SIB byte, if there is one.
    pub sib: Option<u8>,
    /// Displacement, sign-extended; an EVEX one-byte one is not scaled yet.
    pub disp: i32,
    /// Bytes the displacement takes.
    pub disp_len: usize,
    /// Index of the first byte behind the displacement: the immediate, if any.
    pub end: usize,
}

impl ModRm {
    /// 3: a register, else memory.
    pub fn mode(&self) -> u8 {
        self.byte >> 6
    }

    /// The middle field without its fourth bit: a register or more opcode.
    pub fn digit(&self) -> u8 {
        self.byte >> 3 & 7
    }

    /// The low field without its fourth bit.
    pub fn rm(&self) -> u8 {
        self.byte & 7
    }
}

/// The parts of one instruction.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How it is encoded.
    pub coding: Coding,
    /// Index of the REX, VEX or EVEX byte (or of the opcode, without any).
    pub lead: usize,
    /// A REX prefix stands at `lead`.
    pub rex: bool,
    /// 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A, 5 and 6: half precision.
    pub map: u8,
    /// Last byte of the opcode.
    pub opcode: u8,
    /// Index of the first byte behind the opcode.
    pub body: usize,
    /// ModRM and what belongs to it.
    pub modrm: Option<ModRm>,
    /// 66, as prefix or folded into VEX and EVEX.
    pub data16: bool,
    /// 67: addresses have 32 bits.
    pub addr32: bool,
    /// F2 or F3, the last one given, as prefix or folded; else 0.
    pub repeat: u8,
    /// F0.
    pub lock: bool,
    /// fs: or gs:.
    pub segment: Option<Segment>,
    /// The W bit.
    pub wide: bool,
    /// Fourth (and with EVEX fifth) bit of ModRM's middle field, shifted in place.
    pub reg_high: u8,
    /// Fourth bit of the index, shifted in place.
    pub index_high: u8,
    /// Fourth bit of ModRM's low field or the base, shifted in place.
    pub base_high: u8,
    /// Register in VEX.vvvv (with EVEX five bits).
    pub vvvv: u8,
    /// Vector length: 16 << this.
    pub length: u8,
    /// EVEX: mask register, broadcast bit.
    pub mask: u8,
    /// EVEX: one element for all lanes.
    pub broadcast: bool,
}

/// A legacy prefix or REX.
fn is_prefix(byte: u8) -> bool {
    matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3)
}

impl Shape {
    /// Finds the parts; `None` if `bytes` end before, or no such encoding is known.
    pub fn parse(bytes: &[u8]) -> Option<Shape> {
        let mut shape = Shape::EMPTY;
        let mut at = 0;
        loop {
            match *bytes.get(at)? {
                0x66 => shape.data16 = true,
                0x67 => shape.addr32 = true,
                0xf0 => shape.lock = true,
                rep @ (0xf2 | 0xf3) => shape.repeat = rep,
                0x64 => shape.segment = Some(Segment::Fs),
                0x65 => shape.segment = Some(Segment::Gs),
                // The others' bases are zero, and do not undo an fs: before them.
                0x26 | 0x2e | 0x36 | 0x3e => {}
                // Counts only right before the opcode.
                0x40..=0x4f if bytes.get(at + 1).copied().is_some_and(is_prefix) => {}
                _ => break,
            }
            at += 1;
        }
        shape.lead = at;
        match bytes[at] {
            0xc5 => at = shape.vex2(bytes, at)?,
            0xc4 => at = shape.vex3(bytes, at)?,
            0x62 => at = shape.evex(bytes, at)?,
            _ => at = shape.legacy(bytes, at)?,
        }
        shape.opcode = *bytes.get(at)?;
        shape.body = at + 1;
        if shape.has_modrm() {
            shape.modrm = Some(shape.modrm(bytes, at + 1)?);
        }
        Some(shape)
    }

    const EMPTY: Shape = Shape {
        coding: Coding::Legacy,
        lead: 0,
        rex: false,
        map: 0,
        opcode: 0,
        body: 0,
        modrm: None,
        data16: false,
        addr32: false,
        repeat: 0,
        lock: false,
        segment: None,
        wide: false,
        reg_high: 0,
        index_high: 0,
        base_high: 0,
        vvvv: 0,
        length: 0,
        mask: 0,
        broadcast: false,
    };

    fn legacy(&mut self, bytes: &[u8], mut at: usize) -> Option<usize> {
        if bytes[at] & 0xf0 == 0x40 {
            let rex = bytes[at];
            self.rex = true;
            self.wide = rex & 8 != 0;
            self.reg_high = (rex & 4) << 1;
            self.index_high = (rex & 2) << 2;
            self.base_high = (rex & 1) << 3;
            at += 1;
        }
        if *bytes.get(at)? != 0x0f {
            return Some(at);
        }
        at += 1;
        (self.map, at) = match *bytes.get(at)? {
            0x38 => (2, at + 1),
            0x3a => (3, at + 1),
            _ => (1, at),
        };
        Some(at)
    }

    fn vex2(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let last = *bytes.get(at + 1)?;
        self.coding = Coding::Vex2;
        self.map = 1;
        self.reg_high = (!last >> 7) << 3;
        self.vex_tail(last & 0x7f);
        Some(at + 2)
    }

    fn vex3(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let (first, last) = (*bytes.get(at + 1)?, *bytes.get(at + 2)?);
        self.coding = Coding::Vex3;
        self.map = first & 0x1f;
        self.high_bits(first);
        self.wide = last & 0x80 != 0;
        self.vex_tail(last & 0x7f);
        Some(at + 3)
    }

    fn evex(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let (p0, p1, p2) = (*bytes.get(at + 1)?, *bytes.get(at + 2)?, *bytes.get(at + 3)?);
        // Bits of APX; refused, since none of its registers would be moved.
        if p0 & 8 != 0 || p1 & 4 == 0 {
            return None;
        }
        self.coding = Coding::Evex;
        self.map = p0 & 7;
        self.high_bits(p0);
        self.reg_high |= !p0 & 0x10;
        self.wide = p1 & 0x80 != 0;
        self.vex_tail(p1 & 0x7b);
        self.vvvv |= (!p2 & 8) << 1;
        self.length = p2 >> 5 & 3;
        self.broadcast = p2 & 0x10 != 0;
        self.mask = p2 & 7;
        Some(at + 4)
    }

    fn high_bits(&mut self, inverted: u8) {
        self.reg_high = (!inverted >> 7 & 1) << 3;
        self.index_high = (!inverted >> 6 & 1) << 3;
        self.base_high = (!inverted >> 5 & 1) << 3;
    }

    fn vex_tail(&mut self, tail: u8) {
        self.vvvv = !tail >> 3 & 0xf;
        self.length = tail >> 2 & 1;
        self.data16 = tail & 3 == 1;
        self.repeat = [0, 0, 0xf3, 0xf2][(tail & 3) as usize];
    }

    fn has_modrm(&self) -> bool {
        match (self.coding, self.map, self.opcode) {
            (Coding::Legacy, 0, 0x00..=0x3f) => self.opcode & 7 < 4,
            (Coding::Legacy, 0, op) => matches!(op,
                0x63 | 0x69 | 0x6b | 0x80..=0x8f | 0xc0 | 0xc1 | 0xc6 | 0xc7 | 0xd0..=0xd3
                | 0xd8..=0xdf | 0xf6 | 0xf7 | 0xfe | 0xff),
            (_, 1, op) => !matches!(op,
                0x05..=0x09 | 0x0b | 0x0e | 0x30..=0x37 | 0x77 | 0x80..=0x8f | 0xa0..=0xa2
                | 0xa8..=0xaa | 0xc8..=0xcf),
            _ => true,
        }
    }

    fn modrm(&self, bytes: &[u8], at: usize) -> Option<ModRm> {
        let byte = *bytes.get(at)?;
        let mut modrm = ModRm { at, byte, sib: None, disp: 0, disp_len: 0, end: at + 1 };
        if modrm.mode() == 3 {
            return Some(modrm);
        }
        let mut base = modrm.rm();
        if base == 4 {
            let sib = *bytes.get(modrm.end)?;
            modrm.sib = Some(sib);
            modrm.end += 1;
            base = sib & 7;
        }
        modrm.disp_len = match modrm.mode() {
            0 if base == 5 => 4,
            0 => 0,
            1 => 1,
            _ => 4,
        };
        let disp = bytes.get(modrm.end..modrm.end + modrm.disp_len)?;
        modrm.disp = match *disp {
            [b] => b as i8 as i32,
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
            _ => 0,
        };
        modrm.end += modrm.disp_len;
        Some(modrm)
    }

    /// Register number in ModRM's middle field.
    pub fn reg(&self) -> u8 {
        self.modrm.map_or(0, |m| m.digit()) | self.reg_high
    }

    /// VEX or EVEX.
    pub fn is_vex(&self) -> bool {
        self.coding != Coding::Legacy
    }

    /// Bytes of a general operand that is not a byte.
    pub fn operand_size(&self) -> usize {
        match (self.wide, self.data16) {
            (true, _) => 8,
            (_, true) => 2,
            _ => 4,
        }
    }

    /// Whether vector, mask or x87 registers may take part. Too often yes costs
    /// time only.
    pub fn touches_vectors(&self) -> bool {
        if self.is_vex() {
            let bmi = self.coding == Coding::Vex3
                && (self.map == 2
                    && (matches!(self.opcode, 0xf2..=0xf7) || self.opcode & 0xf0 == 0xe0)
                    || self.map == 3 && self.opcode == 0xf0);
            return !bmi;
        }
        match self.map {
            0 => matches!(self.opcode, 0xd8..=0xdf),
            // cmpxchg8b, but xsavec too.
            1 if self.opcode == 0xc7 => self.modrm.is_some_and(|m| m.digit() != 1),
            1 => !matches!(self.opcode,
                0x00..=0x0d | 0x18..=0x1f | 0x30..=0x4f | 0x80..=0xad | 0xaf..=0xc1 | 0xc3
                | 0xc8..=0xcf),
            2 => !matches!(self.opcode, 0xf0..=0xff),
            _ => true,
        }
    }

    /// Of the x87 unit, which keeps the addresses of its last instruction and operand.
    pub fn is_x87(&self) -> bool {
        !self.is_vex() && self.map == 0 && matches!(self.opcode, 0xd8..=0xdf)
    }
}
