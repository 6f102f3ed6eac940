//! The thunk of an export that wants to know its caller: one load, and a jump.

/// Exports functions of these names that hand the caller's return address to
/// `target` in `register`, behind the function's own arguments.
macro_rules! export_with_site {
    ($register:literal, $target:path, $($name:ident),+) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, in front of the program's library's.")]
            ///
            /// # Safety
            ///
            /// As the library's function of this name.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    concat!("mov ", $register, ", qword ptr [rsp]"),
                    "jmp {target}",
                    target = sym $target,
                )
            }
        )+
    };
}
