//! Rings between threads, between sides that die and attach again, and against a hostile peer.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside test functions")]

use std::sync::atomic::Ordering;
use std::thread;

use proptest::prelude::*;
use protocol::ring::{Consumer, Geometry, PAYLOAD, Producer, RingError, clear};
use protocol::{FrameError, MAX_FRAME, SessionId, SharedMemory, ToGuest, encode};

const RING: Geometry = Geometry { data: 256, size: 64 * 1024, head: 0, tail: 128 };
/// Bytes of a line, and how many lines there are.
const LINE: usize = 64;
const LINES: u64 = (RING.size / LINE) as u64;

fn memory() -> SharedMemory {
    SharedMemory::private(RING.data + RING.size)
}

fn get(memory: &SharedMemory, offset: usize) -> u64 {
    memory.u64(offset).unwrap().load(Ordering::Relaxed)
}

fn set(memory: &SharedMemory, offset: usize, value: u64) {
    memory.u64(offset).unwrap().store(value, Ordering::Relaxed);
}

/// Where the line of this number stands, and what stands there where a frame begins.
fn line(number: u64) -> usize {
    RING.data + (number % LINES) as usize * LINE
}

fn stamp(number: u64) -> u64 {
    number << 1 | 1
}

/// A message that can be told from every other one, of any length.
fn message(number: u32, length: usize) -> ToGuest {
    ToGuest::Input { session: SessionId(number), data: vec![number as u8; length] }
}

#[test]
fn threads_exchange_frames_in_order() {
    let memory = memory();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    let mut consumer = Consumer::attach(&memory, RING).unwrap();
    let count = 20_000_u32;
    let sender = thread::spawn(move || {
        for number in 0..count {
            let message = message(number, number as usize * 7 % 3000);
            while !producer.push_message(&message).unwrap() {
                thread::yield_now();
            }
        }
    });
    for number in 0..count {
        let received = loop {
            if let Some(message) = consumer.next_frame::<ToGuest>().unwrap() {
                break message;
            }
            thread::yield_now();
        };
        assert_eq!(received, message(number, number as usize * 7 % 3000));
    }
    sender.join().unwrap();
}

#[test]
fn a_frame_that_does_not_fit_leaves_no_trace() {
    let memory = memory();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    let frame = encode(&message(1, MAX_FRAME - 16)).unwrap();
    assert!(producer.push_frame(&frame).unwrap());
    let room = producer.room().unwrap();
    assert_eq!(room, LINES - frame.len().div_ceil(PAYLOAD) as u64);
    assert!(!producer.push_frame(&vec![0; room as usize * PAYLOAD + 1]).unwrap());
    assert_eq!(producer.room().unwrap(), room);
    for number in 0..room {
        assert!(producer.push_message(&ToGuest::Ping { sequence: number }).unwrap());
    }
    assert!(!producer.push_message(&ToGuest::Ping { sequence: room }).unwrap());
    let mut consumer = Consumer::attach(&memory, RING).unwrap();
    assert_eq!(consumer.next_frame(), Ok(Some(message(1, MAX_FRAME - 16))));
    for sequence in 0..room {
        assert_eq!(consumer.next_frame(), Ok(Some(ToGuest::Ping { sequence })));
    }
    assert_eq!(consumer.next_frame::<ToGuest>(), Ok(None));
}

#[test]
fn a_small_message_moves_one_line() {
    let memory = memory();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    let mut consumer = Consumer::attach(&memory, RING).unwrap();
    for sequence in 0..2 * LINES {
        // Look at all of the memory now and then.
        let whole = sequence % 61 == 0;
        let mut before = vec![0; if whole { RING.size } else { 0 }];
        assert!(memory.read(RING.data, &mut before));
        // Neither side reads the other's index, as long as there is room: it would believe this.
        let (head, tail) = (get(&memory, RING.head), get(&memory, RING.tail));
        if sequence % LINES != 0 {
            set(&memory, RING.tail, u64::MAX / 2);
        }
        assert!(producer.push_message(&ToGuest::Ping { sequence }).unwrap());
        set(&memory, RING.tail, tail);
        set(&memory, RING.head, u64::MAX / 2);
        assert_eq!(consumer.next_frame(), Ok(Some(ToGuest::Ping { sequence })));
        set(&memory, RING.head, head + 1);
        let mut after = vec![0; before.len()];
        assert!(memory.read(RING.data, &mut after));
        let changed: Vec<usize> =
            (0..before.len()).filter(|at| before[*at] != after[*at]).map(|at| at / LINE).collect();
        assert!(changed.iter().all(|line| *line as u64 == sequence % LINES));
        assert_ne!(changed.is_empty(), whole);
    }
}

#[test]
fn nothing_that_a_frame_carries_passes_for_a_frame() {
    let memory = memory();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    let mut consumer = Consumer::attach(&memory, RING).unwrap();
    for round in 0..500_u32 {
        // The stamps of the lines to come, at every alignment.
        let next = get(&memory, RING.head);
        let data: Vec<u8> = (0..8 * (round as usize % 300))
            .map(|at| stamp(next + LINES + at as u64 / 56).to_le_bytes()[(at + round as usize) % 8])
            .collect();
        let message = ToGuest::Input { session: SessionId(round), data };
        assert!(producer.push_message(&message).unwrap());
        assert_eq!(consumer.next_frame(), Ok(Some(message)));
        assert!(!consumer.has_news());
        assert_eq!(consumer.next_frame::<ToGuest>(), Ok(None));
    }
    assert!(get(&memory, RING.head) > 3 * LINES);
}

#[test]
fn what_was_there_before_a_ring_is_not_read() {
    let memory = memory();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    while producer.push_message(&message(1, 5)).unwrap() {}
    clear(&memory, RING).unwrap();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    let mut consumer = Consumer::attach(&memory, RING).unwrap();
    assert_eq!(consumer.next_frame::<ToGuest>(), Ok(None));
    assert!(producer.push_message(&message(2, 5)).unwrap());
    assert_eq!(consumer.next_frame(), Ok(Some(message(2, 5))));
    assert_eq!(consumer.next_frame::<ToGuest>(), Ok(None));
}

#[test]
fn a_consumer_that_has_lost_the_producer_says_so() {
    for head in [5, LINES / 2, u64::MAX, u64::MAX / 2] {
        let memory = memory();
        let mut consumer = Consumer::attach(&memory, RING).unwrap();
        set(&memory, RING.head, head);
        let found = (0..2000).find_map(|_| consumer.next_frame::<ToGuest>().err());
        assert_eq!(found, Some(RingError::Corrupt { head, tail: 0 }));
    }
}

#[test]
fn impossible_geometries_are_refused() {
    let memory = memory();
    for geometry in [
        Geometry { size: 65_535, ..RING },
        Geometry { size: 128 * 1024, ..RING },
        Geometry { data: 257, ..RING },
        Geometry { data: 264, size: 32 * 1024, ..RING },
        Geometry { size: 32 * 1024, ..RING },
        Geometry { head: 4, ..RING },
        Geometry { tail: usize::MAX, ..RING },
        Geometry { size: 1024, ..RING },
    ] {
        assert!(matches!(Producer::attach(&memory, geometry), Err(RingError::Geometry { .. })));
        assert!(matches!(Consumer::attach(&memory, geometry), Err(RingError::Geometry { .. })));
    }
}

#[test]
fn a_frame_that_cannot_be_is_found_out_and_passed_over() {
    let memory = memory();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    let mut consumer = Consumer::attach(&memory, RING).unwrap();
    let too_long = u32::MAX as usize;
    let cases = [
        (vec![0xff; 100], FrameError::TooLong(too_long)),
        ((MAX_FRAME as u32 + 1).to_le_bytes().to_vec(), FrameError::TooLong(MAX_FRAME + 1)),
        (vec![3, 0, 0, 0, 1, 1, 1], FrameError::Trailing(1)),
    ];
    for (frame, error) in cases {
        assert!(producer.push_frame(&frame).unwrap());
        assert_eq!(consumer.next_frame::<ToGuest>(), Err(RingError::Frame(error.clone())));
        assert_eq!(consumer.next_frame::<ToGuest>(), Err(RingError::Frame(error)));
        consumer.discard().unwrap();
        assert!(producer.push_message(&message(2, 5)).unwrap());
        assert_eq!(consumer.next_frame(), Ok(Some(message(2, 5))));
    }
}

/// One thing that happens to a ring.
#[derive(Clone, Debug)]
enum Event {
    Send {
        length: usize,
    },
    Receive,
    /// The producer dies; before that it may have written a part of a frame without publishing it.
    ProducerDies {
        wrote: usize,
    },
    /// The producer dies when a frame has its stamp and `head` does not say so yet; before another
    /// one attaches, the consumer looks twice, or dies and then looks.
    ProducerDiesLate {
        length: usize,
        looks: bool,
        consumer_dies: bool,
    },
    /// The consumer dies.
    ConsumerDies,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_usize..300).prop_map(|length| Event::Send { length }),
        1 => (0_usize..MAX_FRAME - 64).prop_map(|length| Event::Send { length }),
        4 => Just(Event::Receive),
        1 => (0_usize..2000).prop_map(|wrote| Event::ProducerDies { wrote }),
        1 => (0_usize..300, any::<bool>(), any::<bool>()).prop_map(
            |(length, looks, consumer_dies)| Event::ProducerDiesLate {
                length,
                looks,
                consumer_dies,
            }
        ),
        1 => Just(Event::ConsumerDies),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sides_that_die_and_attach_again_lose_and_tear_nothing(
        start: u64,
        events in proptest::collection::vec(event(), 0..100),
    ) {
        let memory = memory();
        // The indices run freely: begin anywhere, also just before they wrap.
        for start in [start, u64::MAX - 40_000] {
            clear(&memory, RING).unwrap();
            set(&memory, RING.head, start);
            set(&memory, RING.tail, start);
            let mut producer = Producer::attach(&memory, RING).unwrap();
            let mut consumer = Consumer::attach(&memory, RING).unwrap();
            let mut under_way = std::collections::VecDeque::new();
            for (number, event) in events.iter().enumerate() {
                match event {
                    Event::Send { length } => {
                        let message = message(number as u32, *length);
                        if producer.push_message(&message).unwrap() {
                            under_way.push_back(message);
                        }
                    }
                    Event::Receive => {
                        prop_assert_eq!(consumer.next_frame().unwrap(), under_way.pop_front());
                    }
                    Event::ProducerDies { wrote } => {
                        // What a producer that died in the middle leaves: a part of a frame.
                        let head = get(&memory, RING.head);
                        let room = LINES - head.wrapping_sub(get(&memory, RING.tail));
                        for index in 0..(*wrote as u64 / PAYLOAD as u64).min(room) {
                            let at = line(head.wrapping_add(index));
                            prop_assert!(memory.write(at + 8, &[0xff; PAYLOAD]));
                        }
                        producer = Producer::attach(&memory, RING).unwrap();
                    }
                    Event::ProducerDiesLate { length, looks, consumer_dies } => {
                        let head = get(&memory, RING.head);
                        let message = message(number as u32, *length);
                        if producer.push_message(&message).unwrap() {
                            under_way.push_back(message);
                        }
                        set(&memory, RING.head, head);
                        if *consumer_dies {
                            consumer = Consumer::attach(&memory, RING).unwrap();
                        }
                        if *looks {
                            while let Some(message) = under_way.pop_front() {
                                prop_assert_eq!(consumer.next_frame(), Ok(Some(message)));
                                prop_assert_eq!(consumer.check(), Ok(()));
                            }
                            prop_assert_eq!(consumer.next_frame::<ToGuest>(), Ok(None));
                        }
                        if *consumer_dies {
                            consumer = Consumer::attach(&memory, RING).unwrap();
                        }
                        prop_assert_eq!(consumer.check(), Ok(()));
                        producer = Producer::attach(&memory, RING).unwrap();
                        prop_assert_eq!(consumer.check(), Ok(()));
                    }
                    Event::ConsumerDies => consumer = Consumer::attach(&memory, RING).unwrap(),
                }
            }
        }
    }

    #[test]
    fn a_hostile_peer_does_no_harm(
        values in proptest::collection::vec((any::<bool>(), any::<u64>(), any::<Vec<u8>>()), 1..50),
    ) {
        let memory = memory();
        let mut producer = Producer::attach(&memory, RING).unwrap();
        let mut consumer = Consumer::attach(&memory, RING).unwrap();
        for (near, value, bytes) in values {
            let value = if near { value % (2 * LINES) } else { value };
            let own = get(&memory, RING.tail);
            set(&memory, RING.head, value);
            set(&memory, RING.tail, !value);
            let fits = memory.write(RING.data, &bytes);
            prop_assert!(fits);
            let _ = producer.push_message(&message(1, 100));
            let _ = producer.push_frame(&bytes);
            // Wherever it looks next there is a frame, of these bytes.
            for number in [own, value, value.wrapping_add(1), value.wrapping_add(2)] {
                set(&memory, line(number), stamp(number));
                let fits = memory.write(line(number) + 8, bytes.get(..PAYLOAD).unwrap_or(&bytes));
                prop_assert!(fits);
            }
            let _ = consumer.check();
            let _ = consumer.next_frame::<ToGuest>();
            let _ = consumer.discard();
            let _ = consumer.next_frame::<ToGuest>();
            let _ = Producer::attach(&memory, RING);
            let _ = Consumer::attach(&memory, RING);
            let _ = Producer::attach_afresh(&memory, RING).unwrap();
            consumer = Consumer::attach_afresh(&memory, RING).unwrap();
        }
    }
}
