//! Both ends of a ring in memory that a hostile peer writes to between any two steps.

#![no_main]

use std::sync::atomic::Ordering;

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use protocol::ring::{Consumer, Geometry, Producer};
use protocol::{SessionId, SharedMemory, ToGuest};

const RING: Geometry = Geometry { data: 256, size: 64 * 1024, head: 0, tail: 128 };
const LINE: usize = 64;

fuzz_target!(|data: &[u8]| {
    let memory = SharedMemory::private(RING.data + RING.size);
    let mut producer = Producer::attach(&memory, RING).expect("an empty ring");
    let mut consumer = Consumer::attach(&memory, RING).expect("an empty ring");
    let mut input = Input(data);
    let word = |offset| memory.u64(offset).expect("inside the memory");
    while !input.0.is_empty() {
        match input.u8() % 16 {
            0 => word(RING.head).store(input.u64(), Ordering::Relaxed),
            1 => word(RING.tail).store(input.u64(), Ordering::Relaxed),
            // Near where it is, so that some of it passes for true.
            2 => drop(word(RING.head).fetch_add(input.u16().into(), Ordering::Relaxed)),
            3 => drop(word(RING.tail).fetch_add(input.u16().into(), Ordering::Relaxed)),
            4 => {
                let (offset, count) = (usize::from(input.u16()), usize::from(input.u8()));
                let _ = memory.write(RING.data + offset, input.bytes(count));
            }
            // A frame of any bytes, with its stamp, where the next one is read.
            5 => {
                let number = word(RING.tail).load(Ordering::Relaxed);
                let at = number as usize % (RING.size / LINE) * LINE;
                let count = usize::from(input.u8());
                let _ = memory.write(RING.data + at + 8, input.bytes(count));
                word(RING.data + at).store(number << 1 | 1, Ordering::Relaxed);
            }
            6 => {
                let _ = producer.push_message(&message(30_000));
            }
            7 => {
                let message = message(usize::from(input.u8()) * 8);
                let _ = producer.push_message(&message);
            }
            8 => {
                let count = usize::from(input.u8());
                let _ = producer.push_frame(input.bytes(count));
            }
            9 | 10 => drop(consumer.next_frame::<ToGuest>()),
            11 => drop(consumer.check()),
            12 => drop(consumer.discard()),
            13 => {
                if let Ok(fresh) = Producer::attach(&memory, RING) {
                    producer = fresh;
                }
            }
            14 => {
                if let Ok(fresh) = Consumer::attach(&memory, RING) {
                    consumer = fresh;
                }
            }
            // What has news is not empty.
            _ => assert!(!consumer.has_news() || consumer.next_frame::<ToGuest>() != Ok(None)),
        }
        if let Ok(room) = producer.room() {
            assert!(room <= (RING.size / LINE) as u64);
        }
    }
    // Whatever was done to it, a ring that is taken up afresh carries messages.
    let mut producer = Producer::attach_afresh(&memory, RING).expect("a possible geometry");
    let mut consumer = Consumer::attach_afresh(&memory, RING).expect("a possible geometry");
    for length in [1, 100] {
        assert_eq!(producer.push_message(&message(length)), Ok(true));
        assert_eq!(consumer.next_frame(), Ok(Some(message(length))));
    }
});

fn message(length: usize) -> ToGuest {
    ToGuest::Input { session: SessionId(length as u32), data: vec![7; length] }
}
