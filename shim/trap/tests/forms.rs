//! Every form of access once, in assembly: registers, flags, vector state and memory
//! must be what the processor makes of it on open memory, and the log must name the
//! guarded bytes.
//!
//! The registers that the instructions use, with G the start of the three guarded
//! pages: rdi = G+100h, rbx = G+140h, rsi = G+200h, rbp = G+300h, r13 = G+400h; r9, r10
//! and r11 stand four bytes before the second page, before G, and before their end;
//! r8 is plain; rcx = 3, rdx = 1, r12 = 10h, r14 = 5.

mod harness;

use deadwalk_trap::AccessKind::{self, Read, Update, Write};
use deadwalk_trap::Refused;
use harness::{Outcome, PAGE, Random, Region, Run, State, random_state};
use std::arch::global_asm;

const P: u64 = PAGE as u64;

fn state(region: &Region) -> State {
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

fn fill(region: &Region) {
    let mut random = Random(0xf111);
    let memory = &mut region.bytes()[..7 * PAGE];
    random.fill(memory);
    let at = |offset: usize| 2 * PAGE + offset;
    // Where call and jmp find their target, divisors, a float of eighty bits.
    memory[at(0x100)..at(0x108)].copy_from_slice(&harness::elsewhere().to_le_bytes());
    memory[at(0x400)..at(0x408)].copy_from_slice(&0x1234_5678_u64.to_le_bytes());
    memory[at(0x500)..at(0x50a)].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0x40]);
    memory[at(0x700)..at(0x708)].copy_from_slice(&3.0_f64.to_le_bytes());
    memory[at(0x708)..at(0x710)].copy_from_slice(&0.0_f64.to_le_bytes());
    memory[at(0x600)..at(0x604)].copy_from_slice(&0x1f80_u32.to_le_bytes());
}

/// Both runs of a piece of code; `None` if the processor does not know it.
fn both(region: &Region, name: &str, code: &[u8], state: &State) -> Option<(Run, Run)> {
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
    for n in (0..harness::AREA).filter(|n| !(464..576).contains(n)) {
        assert_eq!(native.state.area[n], trapped.state.area[n], "{name}: vector state at {n}");
    }
    for (n, byte) in native_memory.iter().enumerate() {
        assert_eq!(*byte, region.bytes()[n], "{name}: memory at {n:x}");
    }
    Some((native, trapped))
}

fn check(name: &str, code: &[u8], changes: &[Change], log: &[(u64, usize, AccessKind)]) {
    let region = Region::new();
    harness::alternate_stack();
    let mut state = state(&region);
    changes.iter().for_each(|change| change(&mut state, &region));
    let Some((_, trapped)) = both(&region, name, code, &state) else { return };
    let seen: Vec<_> = trapped
        .log
        .iter()
        .map(|a| ((a.address as u64).wrapping_sub(region.guarded()), a.len, a.kind))
        .collect();
    assert_eq!(seen, log, "{name}");
    assert!(trapped.traps > 0 || log.is_empty(), "{name} did not trap");
}

type Change<'a> = &'a dyn Fn(&mut State, &Region);

/// One test per line: name, instruction, changes of the registers, log.
macro_rules! forms {
    ($($name:ident: $code:literal $(with $change:expr)? => [$($log:expr),*];)*) => {
        $(
            global_asm!(
                concat!("dw_form_", stringify!($name), ":"),
                $code,
                concat!("dw_form_", stringify!($name), "_end:"),
            );

            #[test]
            fn $name() {
                unsafe extern "C" {
                    #[link_name = concat!("dw_form_", stringify!($name))]
                    static START: u8;
                    #[link_name = concat!("dw_form_", stringify!($name), "_end")]
                    static END: u8;
                }
                let (start, end) = (&raw const START, &raw const END);
                // SAFETY: the bytes between the labels.
                let code = unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) };
                let changes: &[Change] = &[$(&$change)?];
                check(stringify!($name), code, changes, &[$($log),*]);
            }
        )*
    };
}

forms! {
    // Addressing.
    base: "mov rax, [rdi]" => [(0x100, 8, Read)];
    base_disp8: "mov eax, [rdi + 0x11]" => [(0x111, 4, Read)];
    base_disp32: "mov ax, [rdi + 0x345]" => [(0x445, 2, Read)];
    base_index_scale: "mov r15, [rdi + r14*8 + 0x20]" => [(0x148, 8, Read)];
    index_only: "mov rax, [r14*8 + 0x0]" with |s, r| s.gprs[14] = r.guarded() / 8 => [(0, 8, Read)];
    rbp_based: "mov rax, [rbp]" => [(0x300, 8, Read)];
    r13_based: "mov rax, [r13]" => [(0x400, 8, Read)];
    r12_based: "mov rax, [r12 + 8]" with |s, r| s.gprs[12] = r.guarded() => [(8, 8, Read)];
    rsp_based: "mov rax, [rsp + 0x10]" with |s, r| s.gprs[4] = r.guarded() => [(0x10, 8, Read)];
    address32: "mov rax, [edi + 4]" => [(0x104, 8, Read)];
    modifies_own_base: "mov rdi, [rdi]" => [(0x100, 8, Read)];
    adds_own_base: "add rdi, [rdi + 8]" => [(0x108, 8, Read)];
    own_base_and_index: "xadd [rdi + r14], rdi" => [(0x105, 8, Update)];
    to_rsp: "mov rsp, [r13]" => [(0x400, 8, Read)];
    from_rsp: "mov [rdi], rsp" => [(0x100, 8, Write)];
    add_to_rsp: "add rsp, [r13]" => [(0x400, 8, Read)];
    bmi_rsp: "andn rsp, rsp, [rdi]" => [(0x100, 8, Read)];
    // Plain moves.
    load8: "mov al, [rdi]" => [(0x100, 1, Read)];
    load_ah: "mov ah, [rdi + 1]" => [(0x101, 1, Read)];
    load_dh: "mov dh, [rbx]" => [(0x140, 1, Read)];
    load_sil: "mov sil, [rdi]" => [(0x100, 1, Read)];
    store_bh: "mov [rdi], bh" => [(0x100, 1, Write)];
    store_imm8: "mov byte ptr [rdi + 5], 0x7f" => [(0x105, 1, Write)];
    store_imm32: "mov qword ptr [rdi], -2" => [(0x100, 8, Write)];
    store16: "mov [rdi], ax" => [(0x100, 2, Write)];
    movzx8: "movzx eax, byte ptr [rdi]" => [(0x100, 1, Read)];
    movzx16: "movzx r9, word ptr [rdi]" => [(0x100, 2, Read)];
    movsx8: "movsx rax, byte ptr [rdi + 3]" => [(0x103, 1, Read)];
    movsx16: "movsx eax, word ptr [rdi]" => [(0x100, 2, Read)];
    movsxd: "movsxd rax, dword ptr [rdi]" => [(0x100, 4, Read)];
    movbe_load: "movbe rax, [rdi]" => [(0x100, 8, Read)];
    movbe_store: "movbe [rdi], ecx" => [(0x100, 4, Write)];
    movnti: "movnti [rdi], rax" => [(0x100, 8, Write)];
    segment_register: "mov [rdi], ds" => [(0x100, 2, Write)];
    cmov_taken: "cmovz rax, [rdi]" with |s, _| s.flags = 0x42 => [(0x100, 8, Read)];
    cmov_not_taken: "cmovz eax, [rdi]" => [(0x100, 4, Read)];
    setcc: "setnz byte ptr [rdi]" => [(0x100, 1, Write)];
    xlat: "xlatb" with |s, _| s.gprs[0] = 0x30 => [(0x170, 1, Read)];
    // Arithmetic.
    add_load: "add eax, [rdi]" => [(0x100, 4, Read)];
    adc_store: "adc [rdi], rax" with |s, _| s.flags = 3 => [(0x100, 8, Update)];
    sbb_byte: "sbb byte ptr [rdi], 0x11" with |s, _| s.flags = 3 => [(0x100, 1, Update)];
    and_imm: "and dword ptr [rdi], 0xff00ff" => [(0x100, 4, Update)];
    xor_load: "xor rdx, [rdi]" => [(0x100, 8, Read)];
    cmp_load: "cmp al, [rdi]" => [(0x100, 1, Read)];
    cmp_store: "cmp [rdi], r15" => [(0x100, 8, Read)];
    test_imm: "test byte ptr [rdi], 0x40" => [(0x100, 1, Read)];
    inc: "inc qword ptr [rdi]" => [(0x100, 8, Update)];
    neg: "neg dword ptr [rdi]" => [(0x100, 4, Update)];
    not: "not word ptr [rdi]" => [(0x100, 2, Update)];
    shift_cl: "shl dword ptr [rdi], cl" => [(0x100, 4, Update)];
    rotate: "rcr qword ptr [rdi], 1" with |s, _| s.flags = 3 => [(0x100, 8, Update)];
    shld: "shld [rdi], rax, 5" => [(0x100, 8, Update)];
    imul3: "imul rax, [rdi], 0x1234" => [(0x100, 8, Read)];
    mul: "mul qword ptr [rdi]" => [(0x100, 8, Read)];
    div: "div dword ptr [r13]" => [(0x400, 4, Read)];
    idiv: "idiv qword ptr [r13]" => [(0x400, 8, Read)];
    popcnt: "popcnt rax, [rdi]" => [(0x100, 8, Read)];
    lzcnt: "lzcnt eax, [rdi]" => [(0x100, 4, Read)];
    crc32: "crc32 rax, byte ptr [rdi]" => [(0x100, 1, Read)];
    adcx: "adcx rax, [rdi]" => [(0x100, 8, Read)];
    adox: "adox rax, [rdi]" => [(0x100, 8, Read)];
    mulx: "mulx rax, rcx, [rdi]" => [(0x100, 8, Read)];
    bextr: "bextr rax, [rdi], r14" => [(0x100, 8, Read)];
    pdep: "pdep rax, r15, [rdi]" => [(0x100, 8, Read)];
    rorx: "rorx eax, [rdi], 7" => [(0x100, 4, Read)];
    // Bit tests, near and far.
    bt_imm: "bt dword ptr [rdi], 35" => [(0x100, 4, Read)];
    bt_register: "bt [rdi], rax" => [(0x320, 8, Read)];
    bts_negative: "bts [r13], ecx" with |s, _| s.gprs[1] = (-129_i64) as u64 => [(0x3ec, 4, Update)];
    btr_word: "btr [rdi], cx" => [(0x100, 2, Update)];
    btc_locked: "lock btc qword ptr [rdi], r14" => [(0x100, 8, Update)];
    // Atomic.
    lock_add: "lock add [rdi], rax" => [(0x100, 8, Update)];
    lock_xadd: "lock xadd [rdi], eax" => [(0x100, 4, Update)];
    xchg: "xchg [rdi], r15" => [(0x100, 8, Update)];
    xchg_rsp: "xchg rsp, [rdi]" => [(0x100, 8, Update)];
    cmpxchg: "lock cmpxchg [rdi], rcx" => [(0x100, 8, Update)];
    cmpxchg_byte: "cmpxchg [rdi], bl" => [(0x100, 1, Update)];
    cmpxchg8b: "lock cmpxchg8b [rdi]" => [(0x100, 8, Update)];
    cmpxchg16b: "lock cmpxchg16b [rdi]" => [(0x100, 16, Update)];
    // Stack and jumps.
    push_memory: "push qword ptr [rdi]" => [(0x100, 8, Read)];
    push_word: "push word ptr [rdi]" => [(0x100, 2, Read)];
    pop_memory: "pop qword ptr [rdi]" => [(0x100, 8, Write)];
    pop_rsp_relative: "pop qword ptr [rsp + r14]"
        with |s, r| s.gprs[14] = r.guarded().wrapping_sub(s.gprs[4]) => [(8, 8, Write)];
    call_memory: "call qword ptr [rdi]" => [(0x100, 8, Read)];
    jmp_memory: "jmp qword ptr [rdi]" => [(0x100, 8, Read)];
    push_on_guarded: "push rax" with |s, r| s.gprs[4] = r.guarded() + 0x80 => [(0x78, 8, Write)];
    pushfq_on_guarded: "pushfq" with |s, r| s.gprs[4] = r.guarded() + 0x80 => [(0x78, 8, Write)];
    pop_from_guarded: "pop rsp" with |s, r| s.gprs[4] = r.guarded() + 0x80 => [(0x80, 8, Read)];
    ret_from_guarded: "ret 16" with |s, r| s.gprs[4] = r.guarded() + 0x100 => [(0x100, 8, Read)];
    leave: "leave" => [(0x300, 8, Read)];
    enter: "enter 32, 0" with |s, r| s.gprs[4] = r.guarded() + 0x80 => [(0x78, 8, Write)];
    // Strings.
    movsb: "movsb" => [(0x200, 1, Read), (0x100, 1, Write)];
    rep_movsq: "rep movsq" => [(0x200, 24, Read), (0x100, 24, Write)];
    rep_movsb_to_plain: "rep movsb" with |s, _| s.gprs[7] = s.gprs[8] => [(0x200, 3, Read)];
    rep_movsb_down: "rep movsb" with |s, _| (s.flags, s.gprs[1]) = (0x402, 0x180)
        => [(0x81, 0x180, Read), (0, 0x101, Write)];
    rep_stosd: "rep stosd" => [(0x100, 12, Write)];
    rep_stosb_off_the_end: "rep stosb" with |s, r| (s.gprs[7], s.gprs[1]) = (r.guarded() + 3 * P - 16, 64)
        => [(3 * P - 16, 16, Write)];
    lodsw: "lodsw" => [(0x200, 2, Read)];
    repe_cmpsb: "repe cmpsb" => [(0x200, 1, Read), (0x100, 1, Read)];
    repne_scasb: "repne scasb" with |s, _| s.gprs[1] = 0x40 => [(0x100, 0x40, Read)];
    // SSE.
    movups: "movups xmm3, [rdi + 1]" => [(0x101, 16, Read)];
    movaps_store: "movaps [rdi], xmm4" => [(0x100, 16, Write)];
    movq: "movq xmm1, qword ptr [rdi]" => [(0x100, 8, Read)];
    movss: "movss dword ptr [rdi], xmm1" => [(0x100, 4, Write)];
    addsd: "addsd xmm2, qword ptr [rdi]" => [(0x100, 8, Read)];
    paddd: "paddd xmm2, [rdi]" => [(0x100, 16, Read)];
    pinsrw: "pinsrw xmm2, word ptr [rdi], 3" => [(0x100, 2, Read)];
    pcmpistri: "pcmpistri xmm1, [rdi], 8" => [(0x100, 16, Read)];
    movntdq: "movntdq [rdi], xmm9" => [(0x100, 16, Write)];
    cvtsi2sd: "cvtsi2sd xmm5, qword ptr [rdi]" => [(0x100, 8, Read)];
    ldmxcsr: "ldmxcsr [rdi + 0x500]" => [(0x600, 4, Read)];
    stmxcsr: "stmxcsr [rdi]" => [(0x100, 4, Write)];
    // AVX and AVX-512.
    vmovdqu: "vmovdqu ymm12, [rdi]" => [(0x100, 32, Read)];
    vaddps: "vaddps ymm1, ymm2, [rdi + r14*4]" => [(0x114, 32, Read)];
    vbroadcastss: "vbroadcastss ymm1, dword ptr [rdi]" => [(0x100, 4, Read)];
    vfmadd: "vfmadd213pd ymm1, ymm2, [rdi]" => [(0x100, 32, Read)];
    vmovntdq: "vmovntdq [rdi], ymm3" => [(0x100, 32, Write)];
    vmovdqu64: "vmovdqu64 zmm20, [rdi + 0x40]" => [(0x140, 64, Read)];
    vmovaps512_store: "vmovaps [rdi + 0x100], zmm31" => [(0x200, 64, Write)];
    broadcast512: "vpaddd zmm1, zmm2, dword ptr [rdi]{{1to16}}" => [(0x100, 4, Read)];
    vpternlog: "vpternlogq zmm17, zmm18, [rdi], 0x96" => [(0x100, 64, Read)];
    kmovw: "kmovw k3, word ptr [rdi]" => [(0x100, 2, Read)];
    kmovq: "kmovq qword ptr [rdi], k4" => [(0x100, 8, Write)];
    // x87 and saved states.
    fld_double: "fld qword ptr [r13]" => [(0x400, 8, Read)];
    fld_extended: "fld tbyte ptr [rdi + 0x400]" => [(0x500, 10, Read)];
    fstp_extended: "fstp tbyte ptr [rdi]" => [(0x100, 10, Write)];
    fild: "fild dword ptr [rdi]" => [(0x100, 4, Read)];
    fnstcw: "fnstcw [rdi]" => [(0x100, 2, Write)];
    fnstenv: "fnstenv [rdi]" => [(0x100, 28, Write)];
    fxsave: "fxsave64 [rdi]" => [(0x100, 512, Write)];
    // Hints and crossings.
    prefetch: "prefetcht0 [rdi]" => [];
    nop: "nop dword ptr [rdi]" => [];
    clflush: "clflush [rdi]" => [(0x100, 1, Read)];
    cross_guarded: "mov rax, [r9]" => [(0x1000 - 4, 8, Read)];
    cross_into_guarded: "mov rax, [r10]" => [(0, 4, Read)];
    cross_out_of_guarded: "mov rax, [r11]" => [(3 * P - 4, 4, Read)];
    cross_store_in: "mov [r10], r15" => [(0, 4, Write)];
    cross_store_out: "mov [r11], r15" => [(3 * P - 4, 4, Write)];
    cross_update: "add [r10], r15" => [(0, 4, Update)];
    cross_vector: "movups [r10 - 4], xmm3" => [(0, 8, Write)];
}

#[test]
fn rip_relative() {
    let region = Region::new();
    harness::alternate_stack();
    // mov rax, [rip + disp]
    let disp = (region.guarded() + 0x80).wrapping_sub(region.code() + 7) as i32;
    let mut code = vec![0x48, 0x8b, 0x05];
    code.extend(disp.to_le_bytes());
    let (_, trapped) = both(&region, "rip", &code, &state(&region)).expect("known");
    assert_eq!(trapped.log[0].address as u64, region.guarded() + 0x80);
}

#[test]
fn direct_addresses_of_64_and_32_bits() {
    let region = Region::new();
    harness::alternate_stack();
    let address = region.guarded() + 0x88;
    for opcode in 0xa0..=0xa3_u8 {
        for prefix in [&[][..], &[0x48], &[0x66]] {
            let mut code = prefix.to_vec();
            code.push(opcode);
            code.extend(address.to_le_bytes());
            let (_, trapped) = both(&region, "moffs", &code, &state(&region)).expect("known");
            assert_eq!((trapped.log[0].address as u64, trapped.traps), (address, 1));
        }
        let mut code = vec![0x67, opcode];
        code.extend((address as u32).to_le_bytes());
        let (_, trapped) =
            both(&region, "moffs of 32 bits", &code, &state(&region)).expect("known");
        assert_eq!(trapped.log[0].address as u64, address);
    }
}

#[test]
fn fs_relative() {
    let region = Region::new();
    harness::alternate_stack();
    let mut base = 0_u64;
    const ARCH_GET_FS: i32 = 0x1003;
    // SAFETY: writes one word.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_FS, &raw mut base) };
    let mut state = state(&region);
    state.gprs[7] = (region.guarded() + 0x90).wrapping_sub(base);
    // mov rax, fs:[rdi]
    let (_, trapped) = both(&region, "fs", &[0x64, 0x48, 0x8b, 0x07], &state).expect("known");
    assert_eq!(trapped.log[0].address as u64, region.guarded() + 0x90);
}

#[test]
fn divisions_that_fail_raise_sigfpe() {
    let region = Region::new();
    harness::alternate_stack();
    let mut state = state(&region);
    // div and idiv of dword [rdi + 500h], which is zero after `fill`'s float.
    for code in [[0xf7, 0xb7, 0x00, 0x04, 0x00, 0x00], [0xf7, 0xbf, 0x00, 0x04, 0x00, 0x00]] {
        let (native, _) = both(&region, "div", &code, &state).expect("known");
        assert!(
            matches!(native.outcome, Outcome::Signal(libc::SIGFPE, 1, _)),
            "{:?}",
            native.outcome
        );
    }
    // The quotient does not fit.
    state.gprs[2] = u64::MAX / 2;
    let (native, _) = both(&region, "div", &[0x48, 0xf7, 0x77, 0x00], &state).expect("known");
    assert!(matches!(native.outcome, Outcome::Done(_) | Outcome::Signal(libc::SIGFPE, ..)));
}

#[test]
fn wanted_sse_exceptions_raise_sigfpe() {
    let region = Region::new();
    harness::alternate_stack();
    let mut state = state(&region);
    // All unmasked; 1 / 0.
    state.area[24..28].copy_from_slice(&0_u32.to_le_bytes());
    state.area[160..168].copy_from_slice(&1.0_f64.to_le_bytes());
    // divsd xmm0, [rdi + 600h]: not exact; by [rdi + 608h]: by zero.
    for (low, code) in [(0x00, 6), (0x08, 3)] {
        let bytes = [0xf2, 0x0f, 0x5e, 0x87, low, 0x06, 0x00, 0x00];
        let (native, trapped) = both(&region, "divsd", &bytes, &state).expect("known");
        assert!(matches!(native.outcome, Outcome::Signal(libc::SIGFPE, c, _) if c == code));
        assert_eq!(native.state.area[24..28], trapped.state.area[24..28]);
    }
    // Nothing comes up: movsd.
    let code = [0xf2, 0x0f, 0x10, 0x4f, 0x00];
    let (native, _) = both(&region, "movsd", &code, &state).expect("known");
    assert_eq!(native.outcome, Outcome::Done(1));
}

#[test]
fn misaligned_forms_fault_as_native() {
    let region = Region::new();
    harness::alternate_stack();
    // movaps xmm0, [rdi + 1]
    let (native, _) =
        both(&region, "movaps", &[0x0f, 0x28, 0x47, 0x01], &state(&region)).expect("known");
    assert!(matches!(native.outcome, Outcome::Signal(libc::SIGSEGV, 128, 0)));
}

#[test]
fn masked_lanes_over_missing_memory_are_not_touched() {
    let region = Region::new();
    harness::alternate_stack();
    if !is_x86_feature_detected!("avx512f") {
        println!("skipped: this processor has no AVX-512");
        return;
    }
    let mut state = state(&region);
    // Plain pages 5 and 6, then nothing; lanes 0 to 3 lie in guarded memory when rdi is
    // before page 5, so the guarded pages' end stands in for it: everything beyond the
    // first four lanes is masked out.
    let offset = std::arch::x86_64::__cpuid_count(0xd, 5).ebx as usize;
    state.area[offset + 8..offset + 16].copy_from_slice(&0x000f_u64.to_le_bytes());
    state.gprs[7] = region.guarded() + 3 * P - 16;
    // vmovdqu32 zmm1{k1}{z}, [rdi]; vmovdqu32 [rdi]{k1}, zmm2
    for (code, kind) in [
        ([0x62, 0xf1, 0x7e, 0xc9, 0x6f, 0x0f], Read),
        ([0x62, 0xf1, 0x7e, 0x49, 0x7f, 0x17], Write),
    ] {
        let (_, trapped) = both(&region, "masked", &code, &state).expect("known");
        let access = trapped.log[0];
        assert_eq!((access.address as u64, access.len, access.kind), (state.gprs[7], 16, kind));
    }
}

#[test]
fn maskmovdqu_writes_what_the_mask_says() {
    let region = Region::new();
    harness::alternate_stack();
    for (name, code) in
        [("maskmovdqu", &[0x66, 0x0f, 0xf7, 0xca][..]), ("maskmovq", &[0x0f, 0xf7, 0xca])]
    {
        let mut state = state(&region);
        for at in [0x100, 0xff8, 0x3000 - 7] {
            state.gprs[7] = region.guarded() + at;
            both(&region, name, code, &state);
        }
    }
}

#[test]
fn gathers_and_scatters() {
    let region = Region::new();
    harness::alternate_stack();
    let mut state = state(&region);
    // xmm/ymm/zmm2 are the indexes: small.
    for lane in 0..4 {
        let value = (lane as i32 * 37 + 5).to_le_bytes();
        state.area[160 + 32 + 4 * lane..][..4].copy_from_slice(&value);
        state.area[576 + 32 + 4 * lane..][..4].copy_from_slice(&(lane as i32 * 300).to_le_bytes());
        let at = 1152 + 64;
        for half in 0..2 {
            state.area[at + 16 * half + 4 * lane..][..4]
                .copy_from_slice(&(lane as i32 * 11 + 100).to_le_bytes());
        }
    }
    let codes: [(&str, &[u8]); 6] = [
        // vpgatherdd ymm1, [rdi + ymm2*4], ymm3; vgatherdpd xmm1, [rdi + xmm2*8], xmm3
        ("vpgatherdd", &[0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x97]),
        ("vgatherdpd", &[0xc4, 0xe2, 0xe1, 0x92, 0x0c, 0xd7]),
        // vpgatherdd zmm1{k1}, [rdi + zmm2*4 + 40h]
        ("vpgatherdd of 512 bits", &[0x62, 0xf2, 0x7d, 0x49, 0x90, 0x4c, 0x97, 0x10]),
        ("vpgatherdq", &[0x62, 0xf2, 0xfd, 0x49, 0x90, 0x0c, 0x97]),
        ("vpscatterdd", &[0x62, 0xf2, 0x7d, 0x49, 0xa0, 0x0c, 0x97]),
        ("vscatterdpd", &[0x62, 0xf2, 0xfd, 0x49, 0xa2, 0x0c, 0x97]),
    ];
    for (name, code) in codes {
        if let Some((native, trapped)) = both(&region, name, code, &state) {
            assert_eq!(native.outcome, Outcome::Done(1), "{name}");
            assert!(trapped.traps > 0, "{name}");
        }
    }
}

#[test]
fn a_string_stops_where_plain_memory_ends() {
    let region = Region::new();
    harness::alternate_stack();
    let mut state = state(&region);
    // rep movsb out of guarded memory to the last bytes before missing memory.
    state.gprs[7] = region.base() + 7 * P - 5;
    state.gprs[1] = 100;
    let (native, _) = both(&region, "rep movsb", &[0xf3, 0xa4], &state).expect("known");
    assert!(matches!(native.outcome, Outcome::Signal(libc::SIGSEGV, ..)));
    assert_eq!(native.state.gprs[1], 95);
}

#[test]
fn privileged_and_far_forms_are_refused() {
    let region = Region::new();
    harness::alternate_stack();
    // mov ds, [rdi]; jmp far [rdi]; call far [rdi]
    for code in [&[0x8e, 0x1f][..], &[0xff, 0x2f], &[0xff, 0x1f]] {
        fill(&region);
        let state = state(&region);
        let run = region.run(code, &state, true);
        assert!(
            matches!(run.outcome, Outcome::Refused(Refused::Unsupported(_))),
            "{:?}",
            run.outcome
        );
        assert_eq!(run.state.gprs, state.gprs);
        assert!(run.log.is_empty());
    }
}

#[test]
fn executing_guarded_memory_is_refused() {
    let region = Region::new();
    harness::alternate_stack();
    fill(&region);
    // jmp rdi
    let run = region.run(&[0xff, 0xe7], &state(&region), true);
    assert_eq!(run.outcome, Outcome::Refused(Refused::Fetch));
}

#[test]
fn plain_forms_need_no_executable_memory() {
    let region = Region::new();
    harness::alternate_stack();
    deadwalk_trap::allow_code(false);
    // mov, movzx, movsxd, ah, add both ways, cmp imm8, test, sbb with a byte.
    let codes: [&[u8]; 10] = [
        &[0x48, 0x8b, 0x07],
        &[0x0f, 0xb6, 0x47, 0x01],
        &[0x48, 0x63, 0x07],
        &[0x8a, 0x27],
        &[0x88, 0x37],
        &[0x01, 0x07],
        &[0x66, 0x03, 0x07],
        &[0x48, 0x83, 0x3f, 0xfe],
        &[0xf7, 0x07, 0x10, 0x00, 0x00, 0x80],
        &[0x18, 0x0f],
    ];
    for code in codes {
        both(&region, "emulated", code, &state(&region)).expect("known");
    }
    fill(&region);
    // lock add [rdi], eax must be atomic.
    let run = region.run(&[0xf0, 0x01, 0x07], &state(&region), true);
    deadwalk_trap::allow_code(true);
    assert_eq!(run.outcome, Outcome::Refused(Refused::NoCode));
}
