//! What is tried, and what comes of it.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, kvm_dtable, kvm_regs, kvm_segment, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryBackend as _, GuestMemoryMmap};

use super::Unusable;
use super::guest::{self, EXPECTED, RESULT};
use crate::memory::Segment;
use crate::page_tables::identity_map;
use crate::units::{Bytes, PhysAddr};

const MEMORY: Bytes = Bytes::mib(2);
const GDT: u64 = 0x1000;
const IDT: u64 = 0x2000;
const PAGE_TABLES: u64 = 0x4000;
const PAGE_TABLES_ROOM: u64 = 0x4000;
const CODE: u64 = 0x1_0000;
/// Below it, what programs push.
const STACK: u64 = 0x2_0000;

/// Selectors of [`DESCRIPTORS`].
const CODE_SELECTOR: u16 = 8;
const DATA_SELECTOR: u16 = 16;
/// Flat segments: none, 64-bit code, data (Intel SDM volume 3A, 3.4.5).
const DESCRIPTORS: [u64; 3] = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

/// CR0: protection, coprocessor as kernels have it, paging. CR4: physical address extension, SSE and its
/// exceptions. EFER: long mode, on (Intel SDM volume 3A, 2.2.1 and 2.5).
const CR0: u64 = 0x8000_0033;
const CR4: u64 = 0x620;
const EFER: u64 = 0x500;

/// Leaf 1, ECX: that there is a hypervisor (bit 31); features that every x86-64 kernel knows to live without, here
/// taken away (SSSE3, bit 9; MOVBE, bit 22).
const HYPERVISOR: u32 = 1 << 31;
const TAKEN_AWAY: u32 = 1 << 9 | 1 << 22;

/// What a KVM does otherwise than a CPU does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Guests see other features than they were given.
    Features {
        /// CPUID leaf 1, ECX, as it was given.
        given: u32,
        /// As the guest saw it.
        seen: u32,
    },
    /// An instruction comes to something else.
    Result {
        /// Which.
        instruction: &'static str,
        /// What it came to.
        result: u32,
    },
    /// An instruction stops the virtual CPU.
    Stops {
        /// Which.
        instruction: &'static str,
        /// How.
        how: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Features { given, seen } => {
                write!(f, "guests see features {seen:#010x} where they are given {given:#010x}")
            }
            Self::Result { instruction, result } => {
                write!(f, "{instruction} comes to {result:#x} in a guest")
            }
            Self::Stops { instruction, how } => write!(f, "{instruction} stops a guest ({how})"),
        }
    }
}

/// Runs everything; `over` is set when that takes too long.
pub fn run(kvm: &Kvm, over: &AtomicBool) -> Result<(), Unusable> {
    let refuses = |request| {
        move |error: kvm_ioctls::Error| Unusable::Refuses {
            request,
            source: io::Error::from_raw_os_error(error.errno()),
        }
    };
    let memory = memory().map_err(Unusable::NotTried)?;
    let vm = kvm.create_vm().map_err(refuses("KVM_CREATE_VM"))?;
    let host = memory.get_host_address(GuestAddress(0));
    let host = host.map_err(|error| Unusable::NotTried(io::Error::other(error)))?;
    let region = kvm_userspace_memory_region {
        memory_size: MEMORY.0,
        userspace_addr: host.addr() as u64,
        ..Default::default()
    };
    // SAFETY: the region is all of `memory`, which outlives the virtual machine: it was made before it,
    // and both are dropped at the end of this function.
    unsafe { vm.set_user_memory_region(region) }.map_err(refuses("KVM_SET_USER_MEMORY_REGION"))?;
    let mut vcpu = vm.create_vcpu(0).map_err(refuses("KVM_CREATE_VCPU"))?;
    let mut features = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(refuses("KVM_GET_SUPPORTED_CPUID"))?;
    let given = take_away(&mut features);
    vcpu.set_cpuid2(&features).map_err(refuses("KVM_SET_CPUID2"))?;

    let entries = guest::entries();
    let mut found = Vec::new();
    let mut check = |instruction, entry| {
        enter(&vcpu, entry).map_err(refuses("KVM_SET_SREGS"))?;
        Ok(result(&mut vcpu, over).map_err(|how| Finding::Stops { instruction, how }))
    };
    match check("cpuid", entries.cpuid)? {
        Ok(seen) if (seen ^ given) & (HYPERVISOR | TAKEN_AWAY) == 0 => {}
        Ok(seen) => found.push(Finding::Features { given, seen }),
        Err(finding) => found.push(finding),
    }
    for (instruction, entry) in
        [("SSE2", entries.sse), ("cmpxchg16b", entries.cmpxchg16b), ("int3", entries.breakpoint)]
    {
        match check(instruction, entry)? {
            Ok(EXPECTED) => {}
            Ok(result) => found.push(Finding::Result { instruction, result }),
            Err(finding) => found.push(finding),
        }
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(Unusable::Pretends(found)),
    }
}

/// Changes what a guest sees in leaf 1, ECX; what that is then.
fn take_away(features: &mut CpuId) -> u32 {
    let leaf = features.as_mut_slice().iter_mut().find(|entry| entry.function == 1);
    leaf.map_or(0, |leaf| {
        leaf.ecx = (leaf.ecx | HYPERVISOR) & !TAKEN_AWAY;
        leaf.ecx
    })
}

/// Programs, and what they need: descriptors, page tables, a handler for breakpoints.
fn memory() -> io::Result<GuestMemoryMmap> {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY.0 as usize)])
        .map_err(io::Error::other)?;
    let all = Segment { start: PhysAddr(0), size: MEMORY };
    let tables = identity_map(PhysAddr(PAGE_TABLES), PAGE_TABLES_ROOM, &[all]);
    let put = |at: u64, bytes: &[u8]| {
        memory.write_slice(bytes, GuestAddress(at)).map_err(io::Error::other)
    };
    put(PAGE_TABLES, &tables.map_err(io::Error::other)?)?;
    put(GDT, DESCRIPTORS.map(u64::to_le_bytes).as_flattened())?;
    let handler = CODE + guest::entries().breakpoint_handler;
    put(IDT + 3 * 16, &gate(handler))?;
    put(CODE, guest::code())?;
    Ok(memory)
}

/// An interrupt gate in 64-bit mode (Intel SDM volume 3A, figure 6-8).
fn gate(handler: u64) -> [u8; 16] {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8e00;
    let low = (handler & 0xffff)
        | (u64::from(CODE_SELECTOR) << 16)
        | (PRESENT_INTERRUPT_GATE << 32)
        | ((handler & 0xffff_0000) << 32);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&low.to_le_bytes());
    bytes[8..].copy_from_slice(&(handler >> 32).to_le_bytes());
    bytes
}

/// Puts the virtual CPU at the start of a program.
fn enter(vcpu: &VcpuFd, entry: u64) -> Result<(), kvm_ioctls::Error> {
    let code = kvm_segment {
        limit: u32::MAX,
        selector: CODE_SELECTOR,
        type_: 11,
        present: 1,
        s: 1,
        l: 1,
        g: 1,
        ..Default::default()
    };
    let data = kvm_segment { selector: DATA_SELECTOR, type_: 3, l: 0, db: 1, ..code };
    let mut registers = vcpu.get_sregs()?;
    registers.cs = code;
    for segment in [
        &mut registers.ds,
        &mut registers.es,
        &mut registers.fs,
        &mut registers.gs,
        &mut registers.ss,
    ] {
        *segment = data;
    }
    registers.gdt = kvm_dtable { base: GDT, limit: 23, ..Default::default() };
    registers.idt = kvm_dtable { base: IDT, limit: 0xfff, ..Default::default() };
    (registers.cr0, registers.cr3, registers.cr4) = (CR0, PAGE_TABLES, CR4);
    registers.efer = EFER;
    vcpu.set_sregs(&registers)?;
    vcpu.set_regs(&kvm_regs { rip: CODE + entry, rsp: STACK, rflags: 2, ..Default::default() })
}

/// Runs until a program says what it came to, or how it ended without that.
fn result(vcpu: &mut VcpuFd, over: &AtomicBool) -> Result<u32, String> {
    loop {
        if over.load(Ordering::SeqCst) {
            return Err("it was still running".to_owned());
        }
        match vcpu.run() {
            Ok(VcpuExit::IoOut(RESULT, bytes)) => {
                let bytes = bytes.try_into().map_err(|_| "half a result".to_owned())?;
                return Ok(u32::from_le_bytes(bytes));
            }
            Ok(VcpuExit::InternalError) => return Err("an internal error of KVM".to_owned()),
            Ok(VcpuExit::Shutdown) => return Err("a triple fault".to_owned()),
            Ok(exit) => return Err(format!("{exit:?}")),
            Err(error) if [libc::EINTR, libc::EAGAIN].contains(&error.errno()) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}
