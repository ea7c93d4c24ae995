//! Filling a partition's memory: kernel, initramfs, and all that the kernel is told.

use nix::time::{ClockId, clock_gettime};
use protocol::mailbox::{self, BootClock, Mailbox};
use vm_memory::{Bytes as _, GuestAddress};

use super::acpi;
use super::cpus::Stopped;
use super::instance::map_low;
use super::low_memory::RAM;
use super::spec::{Spec, StartError};
use super::sys::{PhysicalWindow, TscClock};
use super::trampoline::{self, Destination};
use crate::boot_params;
use crate::command_line::{self, BareFacts};
use crate::contents::{Contents, Loaded, seed};
use crate::host_memory::{HugetlbFile, Reserved, Run, map, segments as joined};
use crate::layout::{ACPI_ROOM, PAGE_TABLES_ROOM, TABLES};
use crate::memory::{PartitionMemory, Segment};
use crate::page_tables;
use crate::units::{ApicId, Bytes, PhysAddr};

/// A partition's memory, ready to be filled.
pub struct Allocated {
    /// The memory, mapped; all zeros.
    pub memory: PartitionMemory,
    /// What it consists of.
    pub segments: Vec<Segment>,
    /// Where its huge pages lie.
    pub runs: Vec<Run>,
}

/// Takes memory that holds the contents. That its CPUs are stopped is the condition: nobody runs in it.
pub fn allocate(
    spec: &Spec,
    contents: &Contents,
    _stopped: &Stopped,
) -> Result<Allocated, StartError> {
    let mut huge = match spec.memory.is_empty() {
        true => None,
        false => Some(HugetlbFile::create(&spec.memory_file, spec.page_size, &spec.memory)?),
    };
    if let Some(huge) = &mut huge {
        let fits = |runs: &[Run]| {
            let mut places: Vec<Segment> = runs.iter().map(Run::place).collect();
            places.extend(&spec.ranges);
            places.sort();
            let segments = joined(places.into_iter());
            segments.is_ok_and(|segments| contents.layout(&segments).is_ok())
        };
        if !fits(huge.runs()) && contents.layout(&[together(spec)]).is_ok() {
            huge.gather(spec.page_size, &spec.memory, fits)?;
        }
    }
    let (memory, segments) = map_all(huge.as_ref(), spec)?;
    // Huge pages come zeroed. In ranges is what the last partition left there, or the firmware.
    for range in &spec.ranges {
        zero(&memory, *range)?;
    }
    let runs = huge.map_or(Vec::new(), |huge| huge.runs().to_vec());
    Ok(Allocated { memory, segments, runs })
}

/// All huge pages of a partition as if they lay together.
fn together(spec: &Spec) -> Segment {
    let size = spec.memory.iter().fold(0, |sum: u64, share| sum.saturating_add(share.size.0));
    Segment { start: PhysAddr(0), size: Bytes(size) }
}

/// Finds the memory of a partition that runs already, and its segments.
pub fn find(spec: &Spec, runs: &[Run]) -> Result<(PartitionMemory, Vec<Segment>), StartError> {
    let huge = match spec.memory.is_empty() {
        true => None,
        false => Some(HugetlbFile::open(&spec.memory_file, runs)?),
    };
    map_all(huge.as_ref(), spec)
}

fn map_all(
    huge: Option<&HugetlbFile>,
    spec: &Spec,
) -> Result<(PartitionMemory, Vec<Segment>), StartError> {
    let reserved = Reserved::open(&spec.ranges)?;
    let pages = huge.into_iter().flat_map(HugetlbFile::pieces);
    Ok(map(pages.chain(reserved.pieces()))?)
}

fn zero(memory: &PartitionMemory, range: Segment) -> Result<(), StartError> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let lost = |_| StartError::DoesNotFit("a range of its memory");
    let mut left = range.size.0;
    while left > 0 {
        let some = left.min(ZEROS.len() as u64);
        let zeros = ZEROS.get(..some as usize).unwrap_or(&ZEROS);
        memory.write_slice(zeros, GuestAddress(range.end().0 - left)).map_err(lost)?;
        left -= some;
    }
    Ok(())
}

/// Writes command line, boot parameters, tables, mailbox and trampoline; returns low memory and the
/// command line.
pub fn write_tables(
    spec: &Spec,
    memory: &PartitionMemory,
    loaded: &Loaded,
    clock: TscClock,
) -> Result<(PhysicalWindow, String), StartError> {
    let layout = &loaded.layout;
    let tsc_khz = clock.khz();
    let facts = BareFacts { tsc_khz, mailbox: layout.mailbox.start };
    let command_line = command_line::bare(&spec.command_line, facts)?;
    let params = boot_params::zero_page(layout, spec.low.ram(), loaded.initramfs)?;
    let apic_ids: Vec<ApicId> = spec.cpus.iter().map(|cpu| cpu.apic).collect();
    let register = |at: usize| PhysAddr(layout.mailbox.start.0 + at as u64);
    let description = acpi::Description {
        cpus: &apic_ids,
        reset_register: register(mailbox::RESET_AT),
        sleep_control: register(mailbox::SLEEP_CONTROL_AT),
        sleep_status: register(mailbox::SLEEP_STATUS_AT),
    };
    let acpi = acpi::tables(layout.acpi(), &description);
    if acpi.len() as u64 > ACPI_ROOM {
        return Err(StartError::DoesNotFit("the ACPI tables"));
    }
    // What the CPU touches before the kernel has tables of its own: the trampoline, our tables, the
    // kernel.
    let mapped = [
        Segment { start: PhysAddr(0), size: Bytes::mib(1) },
        Segment { start: layout.main.start, size: TABLES },
        layout.kernel,
    ];
    let tables = page_tables::identity_map(layout.page_tables(), PAGE_TABLES_ROOM, &mapped)?;
    let mut line = command_line.clone().into_bytes();
    line.push(0);
    for (what, at, bytes) in [
        ("the zero page", layout.boot_params(), boot_params::as_bytes(&params)),
        ("the command line", layout.command_line(), &line),
        (
            "the setup data",
            layout.setup_data(),
            &boot_params::setup_data(seed().map_err(StartError::Random)?),
        ),
        ("the ACPI tables", layout.acpi(), &acpi),
        ("the page tables", layout.page_tables(), &tables),
    ] {
        memory.write_slice(bytes, GuestAddress(at.0)).map_err(|_| StartError::DoesNotFit(what))?;
    }
    let shared = crate::memory::shared(memory, layout.mailbox)
        .ok_or(StartError::DoesNotFit("the mailbox"))?;
    Mailbox::create(shared, boot_clock(tsc_khz))?;

    let low = map_low(spec.low)?;
    let destination = Destination {
        page_tables: layout.page_tables(),
        entry: loaded.entry,
        boot_params: layout.boot_params(),
    };
    low.write(trampoline::SIZE, &vec![0; RAM as usize]);
    low.write(0, &trampoline::image(spec.low.trampoline(), destination));
    Ok((low, command_line))
}

fn boot_clock(tsc_khz: u32) -> BootClock {
    let nanoseconds = |clock| {
        clock_gettime(clock).map_or(0, |time| {
            (time.tv_sec() as u64).saturating_mul(1_000_000_000) + time.tv_nsec() as u64
        })
    };
    BootClock {
        monotonic_ns: nanoseconds(ClockId::CLOCK_MONOTONIC),
        realtime_ns: nanoseconds(ClockId::CLOCK_REALTIME),
        tsc: TscClock::count(),
        tsc_khz: tsc_khz.into(),
    }
}
