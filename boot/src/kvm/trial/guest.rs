//! Programs of a few instructions, in 64-bit mode at privilege level 0. Each ends by writing what it came to to
//! port [`RESULT`].

use std::arch::global_asm;

/// Where results go.
pub const RESULT: u16 = 0x510;

/// What the programs that compute come to.
pub const EXPECTED: u32 = 0x2bad_cafe;

global_asm!(
    r#"
    .pushsection .rodata.kvm_trial, "a"
    .code64
    .globl kvm_trial_cpuid
    .globl kvm_trial_sse
    .globl kvm_trial_cmpxchg16b
    .globl kvm_trial_breakpoint
    .globl kvm_trial_breakpoint_handler
    .globl kvm_trial_end
kvm_trial_cpuid:
    movl $1, %eax
    cpuid
    movl %ecx, %eax
    movw $0x510, %dx
    outl %eax, %dx
    hlt
kvm_trial_sse:
    movl $0x2badcafe, %eax
    movq %rax, %xmm0
    pxor %xmm1, %xmm1
    paddq %xmm0, %xmm1
    movq %xmm1, %rax
    movw $0x510, %dx
    outl %eax, %dx
    hlt
kvm_trial_cmpxchg16b:
    # At the stack's end: 1 and 2 become what is wanted.
    andq $-16, %rsp
    pushq $2
    pushq $1
    movl $1, %eax
    movl $2, %edx
    movl $0x2badcafe, %ebx
    xorl %ecx, %ecx
    lock cmpxchg16b (%rsp)
    popq %rax
    movw $0x510, %dx
    outl %eax, %dx
    hlt
kvm_trial_breakpoint:
    xorl %eax, %eax
    int3
    movw $0x510, %dx
    outl %eax, %dx
    hlt
kvm_trial_breakpoint_handler:
    movl $0x2badcafe, %eax
    iretq
kvm_trial_end:
    .popsection
"#,
    options(att_syntax)
);

unsafe extern "C" {
    static kvm_trial_cpuid: u8;
    static kvm_trial_sse: u8;
    static kvm_trial_cmpxchg16b: u8;
    static kvm_trial_breakpoint: u8;
    static kvm_trial_breakpoint_handler: u8;
    static kvm_trial_end: u8;
}

/// All programs, as they lie in memory behind each other.
pub fn code() -> &'static [u8] {
    let start = &raw const kvm_trial_cpuid;
    // SAFETY: both symbols are ends of the same read-only section of this program, written above.
    unsafe {
        std::slice::from_raw_parts(start, (&raw const kvm_trial_end).offset_from_unsigned(start))
    }
}

/// Where programs begin, counted from the start of [`code`].
pub struct Entries {
    /// Says what ECX is after CPUID with leaf 1.
    pub cpuid: u64,
    /// Computes with SSE2, as every kernel's and program's library does.
    pub sse: u64,
    /// Exchanges 16 bytes, as the kernel's allocator does (mm/slub.c).
    pub cmpxchg16b: u64,
    /// Goes through a breakpoint, as a kernel does that patches itself.
    pub breakpoint: u64,
    /// What a breakpoint leads to.
    pub breakpoint_handler: u64,
}

/// Where they begin.
pub fn entries() -> Entries {
    let start = (&raw const kvm_trial_cpuid).addr();
    let of = |symbol: *const u8| (symbol.addr() - start) as u64;
    Entries {
        cpuid: 0,
        sse: of(&raw const kvm_trial_sse),
        cmpxchg16b: of(&raw const kvm_trial_cmpxchg16b),
        breakpoint: of(&raw const kvm_trial_breakpoint),
        breakpoint_handler: of(&raw const kvm_trial_breakpoint_handler),
    }
}
