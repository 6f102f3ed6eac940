//! What one line of `forms.rs` cannot say: faults, refusals, masks, gathers.

mod harness;

use deadwalk_trap::AccessKind::{Read, Write};
use deadwalk_trap::Refused;
use harness::setup::{P, both, fill, state};
use harness::{Outcome, Region};

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
    // Four lanes before the end of guarded memory, twelve beyond: masked out.
    let offset = std::arch::x86_64::__cpuid_count(0xd, 5).ebx as usize;
    state.area[offset + 8..offset + 16].copy_from_slice(&0x000f_u64.to_le_bytes());
    state.gprs[7] = region.guarded() + 3 * P - 16;
    // vmovdqu32 zmm1{k1}{z}, [rdi]; vmovdqu32 [rdi]{k1}, zmm2; vmaskmovps ymm1, ymm2, [rdi]
    let codes: [(&[u8], _); 3] = [
        (&[0x62, 0xf1, 0x7e, 0xc9, 0x6f, 0x0f], Read),
        (&[0x62, 0xf1, 0x7e, 0x49, 0x7f, 0x17], Write),
        (&[0xc4, 0xe2, 0x6d, 0x2c, 0x0f], Read),
    ];
    // The signs of ymm2: its low half only.
    for lane in 0..8 {
        let (half, n) = (lane / 4, lane % 4);
        let sign = if half == 0 { 0x80 } else { 0x7f };
        state.area[[160, 576][half] + 32 + 4 * n + 3] = sign;
    }
    region.hide_page_behind(true);
    for (code, kind) in codes {
        let (native, trapped) = both(&region, "masked", code, &state).expect("known");
        assert_eq!(native.outcome, Outcome::Done(1));
        let access = trapped.log[0];
        let seen = (access.address as u64, access.len, access.kind);
        assert_eq!(seen, (state.gprs[7], 16, kind));
    }
    region.hide_page_behind(false);
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
        let at = harness::component(6) + 64;
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
