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
use harness::setup::{P, both, state};
use harness::{Region, State};
use std::arch::global_asm;

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
