//! The programs, in 64-bit mode at privilege level 0, on an identity map. Their stack is where RSP points as soon
//! as they have set it; each tells what it comes to at port [`RESULT`], and halts.

use std::arch::global_asm;

/// Where results go, 32 bits each.
pub const RESULT: u16 = 0x510;
/// Ports that remember what is written to them.
pub const SCRATCH: u16 = 0x520;
/// Reads as the next number each time, 32 bits.
pub const NEXT: u16 = 0x540;
/// Where the programs lie.
pub const CODE: u64 = 0x10_0000;
/// Where the second CPU begins: a page below 1 MiB.
pub const SECOND: u64 = 0x8000;
/// The vectors of an interrupt through the I/O APIC, and of one by a message.
pub const LINE_VECTOR: u8 = 0x40;
/// See above.
pub const MESSAGE_VECTOR: u8 = 0x41;

global_asm!(
    r#"
    .pushsection .rodata.payloads, "a"
    .code64
    .globl payloads_start, payload_ports, payload_strings, payload_registers, payload_lines
    .globl payload_notify, payload_messages, payload_second, payload_high, payload_fault
    .globl payload_counts, payload_power, payload_on_line, payload_on_message, payload_real_mode
    .globl payload_real_mode_end, payloads_end
    .macro result
        movw $0x510, %dx
        outl %eax, %dx
    .endm
    .macro stop
    91: cli
        hlt
        jmp 91b
    .endm
payloads_start:
payload_ports:
    movw $0x520, %dx
    movb $0x12, %al
    outb %al, %dx
    movw $0x3456, %ax
    outw %ax, %dx
    movl $0x789abcde, %eax
    outl %eax, %dx
    xorl %eax, %eax
    inb %dx, %al
    result
    movw $0x520, %dx
    xorl %eax, %eax
    inw %dx, %ax
    result
    movw $0x520, %dx
    inl %dx, %eax
    result
    movw $0x530, %dx
    inl %dx, %eax
    result
    stop
payload_strings:
    # Three bytes out of memory, and three into it.
    movl $0x9000, %esi
    movb $1, (%rsi)
    movb $2, 1(%rsi)
    movb $3, 2(%rsi)
    movl $3, %ecx
    movw $0x520, %dx
    cld
    rep outsb
    movl $0x9010, %edi
    movl $0, (%rdi)
    movl $3, %ecx
    rep insb
    movl 0x9010, %eax
    result
    stop
payload_registers:
    # Of the first device: magic, kind, and all ones beyond the last.
    movl $0xd0000000, %ebx
    movl (%rbx), %eax
    result
    movl 8(%rbx), %eax
    result
    movl $1, 0x70(%rbx)
    movl 0x70(%rbx), %eax
    result
    movl $0xd0100000, %ebx
    movl (%rbx), %eax
    result
    stop
payload_lines:
    movl $0x7000, %esp
    call enable_interrupts
    # Tell that they may come, and wait for two.
    movl $1, %eax
    result
    sti
1:  hlt
    jmp 1b
payload_notify:
    movl $0x7000, %esp
    call enable_interrupts
    movl $0xd0000000, %ebx
    movl $0, 0x50(%rbx)
    sti
1:  hlt
    jmp 1b
payload_messages:
    movl $0x7000, %esp
    call enable_interrupts
    movl $1, %eax
    result
    sti
1:  hlt
    jmp 1b
enable_interrupts:
    # The local APIC, with 0xff for spurious ones; line 5 of the I/O APIC to vector 0x40 of CPU 0.
    movl $0xfee00000, %ebx
    movl $0x1ff, 0xf0(%rbx)
    movl $0xfec00000, %ebx
    movl $0x1b, (%rbx)
    movl $0, 0x10(%rbx)
    movl $0x1a, (%rbx)
    movl $0x40, 0x10(%rbx)
    lidt 0x2ff0
    ret
payload_on_line:
    movl $0x100040, %eax
    result
    jmp 1f
payload_on_message:
    movl $0x100041, %eax
    result
1:  movl $0xfee00000, %ebx
    movl $0, 0xb0(%rbx)
    iretq
payload_second:
    # INIT, then STARTUP at 0x8000, to the CPU of APIC id 1.
    movl $0xfee00000, %ebx
    movl $0x1ff, 0xf0(%rbx)
    movl $0x01000000, 0x310(%rbx)
    movl $0x4500, 0x300(%rbx)
    movl $0x01000000, 0x310(%rbx)
    movl $0x4608, 0x300(%rbx)
    # It writes to memory when it runs.
1:  pause
    movl 0x9000, %eax
    testl %eax, %eax
    jz 1b
    result
    stop
payload_high:
    movabsq $0x100001000, %rbx
    movl $0x600dcafe, %eax
    movl %eax, (%rbx)
    movl (%rbx), %eax
    result
    # The hole: nothing is there.
    movl $0xc0000000, %ebx
    movl $1, (%rbx)
    movl (%rbx), %eax
    result
    stop
payload_fault:
    lidt 0x2fe0
    ud2
payload_power:
    movw $0x601, %dx
    movb $0x34, %al
    outb %al, %dx
    stop
payload_counts:
    # Reads numbers, and stops where one is missing or comes twice; tells every 1,024th, and has the last in
    # memory and in a register for debugging as well.
    xorl %ecx, %ecx
1:  movw $0x540, %dx
    inl %dx, %eax
    incl %ecx
    cmpl %eax, %ecx
    jne 2f
    movl %ecx, 0x9000
    movq %rcx, %dr0
    testw $0x3ff, %cx
    jnz 1b
    movl %ecx, %eax
    result
    movq %dr0, %rax
    cmpq %rax, %rcx
    je 1b
2:  movl $0xbad, %eax
    result
    stop
    .code16
payload_real_mode:
    movw $0x900, %ax
    movw %ax, %ds
    movl $0xa9, %eax
    movl %eax, 0
1:  hlt
    jmp 1b
payload_real_mode_end:
    .code64
payloads_end:
    .popsection
"#,
    options(att_syntax)
);

macro_rules! places {
    ($($(#[$doc:meta])* $name:ident = $symbol:ident;)*) => {
        unsafe extern "C" { $(static $symbol: u8;)* static payloads_start: u8; static payloads_end: u8;
            static payload_real_mode: u8; static payload_real_mode_end: u8; }
        $($(#[$doc])* pub fn $name() -> u64 {
            CODE + ((&raw const $symbol).addr() - (&raw const payloads_start).addr()) as u64
        })*
    };
}

places! {
    /// Accesses of each width to [`SCRATCH`], and to a port where nothing is.
    ports = payload_ports;
    /// String instructions on [`SCRATCH`].
    strings = payload_strings;
    /// Reads and writes registers of the first device.
    registers = payload_registers;
    /// Waits for interrupts of the first device's line.
    lines = payload_lines;
    /// Tells the first device of its queue 0, and waits for its interrupt.
    notify = payload_notify;
    /// Waits for messages.
    messages = payload_messages;
    /// Starts a second CPU.
    second = payload_second;
    /// Writes above 4 GiB, and into the hole below.
    high = payload_high;
    /// Ends in a triple fault.
    fault = payload_fault;
    /// Switches the machine off.
    power = payload_power;
    /// Reads numbers for ever.
    counts = payload_counts;
    /// What an interrupt of the line leads to.
    on_line = payload_on_line;
    /// What a message leads to.
    on_message = payload_on_message;
}

/// All programs, behind each other.
pub fn all() -> &'static [u8] {
    between(&raw const payloads_start, &raw const payloads_end)
}

/// The second CPU's program.
pub fn of_second() -> &'static [u8] {
    between(&raw const payload_real_mode, &raw const payload_real_mode_end)
}

fn between(start: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: both are symbols of the same read-only section of this program, written above.
    unsafe { std::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}
