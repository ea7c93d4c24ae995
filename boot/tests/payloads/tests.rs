//! What is tried.

use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;

use boot::kvm::address_space::HOLE;
use boot::kvm::devices::Device as _;
use boot::kvm::status::State;
use boot::kvm::vcpu::Stopped;
use boot::units::Bytes;
use kvm_bindings::kvm_msi;
use vmm_sys_util::eventfd::EventFd;

use crate::bench::{Access, Bench, Setup};
use crate::code;

/// All tests, by name.
pub const ALL: &[(&str, fn())] = &[
    ("ports_are_reached_in_each_width", ports),
    ("string_instructions_are_accesses_one_by_one", strings),
    ("registers_are_reached_and_nothing_is_all_ones", registers),
    ("memory_above_the_hole_is_reached_and_the_hole_is_none", high),
    ("an_interrupt_arrives_once_and_only_through_the_io_apic", lines),
    ("messages_arrive", messages),
    ("a_device_is_told_without_an_exit_and_answers_by_its_interrupt", notify),
    ("a_second_cpu_starts", second),
    ("a_triple_fault_ends_it", fault),
    ("it_switches_itself_off", power),
    ("cpus_are_held_and_go_on", held),
    ("a_held_machine_goes_on_in_another", saved),
    ("cpus_that_halt_or_wait_to_be_started_are_held", halted),
];

fn ports() {
    let bench = Bench::start(code::ports());
    let results: Vec<u32> = (0..4).map(|_| bench.result()).collect();
    assert_eq!(results, [0x01, 0x0201, 0x0403_0201, u32::MAX]);
    let accesses = bench.accesses.lock().expect("nobody panicked").clone();
    let expected = [
        Access::Write(vec![0x12]),
        Access::Write(vec![0x56, 0x34]),
        Access::Write(vec![0xde, 0xbc, 0x9a, 0x78]),
        Access::Read(1),
        Access::Read(2),
        Access::Read(4),
    ];
    assert_eq!(accesses, expected);
    let counters = bench.counters();
    // The last result is being told while we look.
    assert!((6..=7).contains(&counters.port_writes), "{counters:?}");
    assert_eq!((counters.port_reads, counters.register_reads), (4, 0));
}

fn strings() {
    let bench = Bench::start(code::strings());
    assert_eq!(bench.result(), 0x01_0101, "each read is one of its own");
    let accesses = bench.accesses.lock().expect("nobody panicked").clone();
    let (writes, reads) = accesses.split_at(3);
    assert_eq!(writes, [1, 2, 3].map(|byte| Access::Write(vec![byte])));
    assert_eq!(reads, [Access::Read(1), Access::Read(1), Access::Read(1)]);
}

fn registers() {
    let bench = Bench::start(code::registers());
    let results: Vec<u32> = (0..4).map(|_| bench.result()).collect();
    assert_eq!(results, [u32::from_le_bytes(*b"virt"), 4, 1, u32::MAX]);
    let counters = bench.counters();
    assert_eq!((counters.register_reads, counters.register_writes), (4, 1));
}

fn high() {
    let memory = Bytes(HOLE.start.0 + Bytes::mib(16).0);
    let bench = Bench::with(&Setup { entry: code::high(), memory, ..Setup::default() });
    assert_eq!([bench.result(), bench.result()], [0x600d_cafe, u32::MAX]);
    // The file has no hole.
    let mut word = [0; 4];
    bench.memory.read_exact_at(&mut word, HOLE.start.0 + 0x1000).expect("memory");
    assert_eq!(u32::from_le_bytes(word), 0x600d_cafe);
}

fn lines() {
    let line = EventFd::new(libc::EFD_NONBLOCK).expect("an event");
    let bench = Bench::start(code::lines());
    bench.vm.register_irqfd(&line, 5).expect("an interrupt");
    assert_eq!(bench.result(), 1, "it is ready");
    for _ in 0..2 {
        line.write(1).expect("the line");
        assert_eq!(bench.result(), 0x10_0000 + u32::from(code::LINE_VECTOR));
        // The PIC's vector for it would be another.
        assert!(bench.is_silent());
    }
    assert_eq!(bench.counters().others, 0);
}

fn messages() {
    let bench = Bench::start(code::messages());
    assert_eq!(bench.result(), 1, "it is ready");
    let data = u32::from(code::MESSAGE_VECTOR);
    let message = kvm_msi { address_lo: 0xfee0_0000, data, ..Default::default() };
    assert_eq!(bench.vm.signal_msi(message).expect("a message"), 1);
    assert_eq!(bench.result(), 0x10_0000 + data);
    assert!(bench.is_silent());
}

/// Where the queue of the rng is, and what it is to fill.
const DESCRIPTORS: u64 = 0x2_0000;
const AVAILABLE: u64 = 0x2_1000;
const USED: u64 = 0x2_2000;
const BUFFER: u64 = 0x2_3000;

fn notify() {
    let bench = Bench::with(&Setup {
        entry: code::notify(),
        before: |machine| {
            let mut rng = machine.devices.first().expect("an rng").clone();
            let mut write = |register: u64, value: u32| rng.write(register, &value.to_le_bytes());
            for (register, value) in [
                (0x70, 1),
                (0x70, 3),
                (0x24, 1),
                (0x20, 1),
                (0x70, 11),
                (0x38, 4),
                (0x80, DESCRIPTORS as u32),
                (0x90, AVAILABLE as u32),
                (0xa0, USED as u32),
                (0x44, 1),
                (0x70, 15),
            ] {
                write(register, value);
            }
            let memory = &machine.memory;
            let put = |at: u64, bytes: &[u8]| {
                vm_memory::Bytes::write_slice(memory, bytes, vm_memory::GuestAddress(at))
                    .expect("memory");
            };
            // One descriptor of 32 bytes to be written, and the ring that names it.
            put(DESCRIPTORS, &BUFFER.to_le_bytes());
            put(DESCRIPTORS + 8, &[32, 0, 0, 0, 2, 0, 0, 0]);
            put(AVAILABLE, &[0, 0, 1, 0, 0, 0]);
        },
        ..Setup::default()
    });
    assert_eq!(bench.result(), 0x10_0000 + u32::from(code::LINE_VECTOR));
    let mut buffer = [0; 40];
    bench.memory.read_exact_at(&mut buffer, BUFFER).expect("memory");
    let (random, behind) = buffer.split_at(32);
    assert!(random.iter().any(|byte| *byte != 0) && behind == [0; 8], "{buffer:?}");
    let (counts, _) = bench.devices.first().expect("an rng").counts();
    assert_eq!((counts.requests, counts.interrupts), (1, 1));
    assert_eq!(bench.counters().register_writes, 0, "KVM took it to the device");
}

fn second() {
    let bench = Bench::with(&Setup { entry: code::second(), cpus: 2, ..Setup::default() });
    assert_eq!(bench.result(), 0xa9);
}

fn fault() {
    assert_eq!(Bench::start(code::fault()).stopped(), Stopped::TripleFault);
}

fn power() {
    assert_eq!(Bench::start(code::power()).state(), State::PowerOff);
}

fn held() {
    let bench = Bench::start(code::counts());
    let mut last = 0;
    for _ in 0..20 {
        assert_eq!(bench.result(), last + 1024);
        last += 1024;
        bench.cpus.pause();
        let number = bench.numbers.load(Ordering::SeqCst);
        while let Some(result) = bench.next_result() {
            assert_eq!(result, last + 1024, "nothing is read twice, and nothing lost");
            last = result;
        }
        assert_eq!(bench.numbers.load(Ordering::SeqCst), number, "it is held");
        bench.cpus.resume();
    }
}

fn saved() {
    let mut bench = Bench::start(code::counts());
    let mut last = 0;
    for hop in 0..20 {
        let result = bench.result();
        assert_eq!(result, last + 1024, "hop {hop}");
        last = result;
        bench.cpus.pause();
        let saved = bench.save();
        while let Some(result) = bench.next_result() {
            assert_eq!(result, last + 1024, "hop {hop}");
            last = result;
        }
        // The old one stays where it is, and the new one goes on.
        bench = Bench::restore(&saved);
    }
}

fn halted() {
    let bench = Bench::with(&Setup { entry: code::lines(), cpus: 2, ..Setup::default() });
    assert_eq!(bench.result(), 1, "the first halts, and the second was never started");
    bench.cpus.pause();
    let saved = bench.save();
    let other = Bench::restore(&saved);
    for bench in [other, bench] {
        bench.cpus.resume();
        let line = EventFd::new(libc::EFD_NONBLOCK).expect("an event");
        bench.vm.register_irqfd(&line, 5).expect("an interrupt");
        line.write(1).expect("the line");
        assert_eq!(bench.result(), 0x10_0000 + u32::from(code::LINE_VECTOR));
    }
}
