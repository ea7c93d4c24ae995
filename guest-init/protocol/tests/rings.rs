//! Rings between threads, between sides that die and attach again, and against a hostile peer.

use std::sync::atomic::Ordering;
use std::thread;

use proptest::prelude::*;
use protocol::ring::{ALIGNMENT, Consumer, Geometry, Producer, RingError};
use protocol::{MAX_FRAME, SessionId, SharedMemory, ToGuest, encode};

const RING: Geometry = Geometry { data: 256, size: 64 * 1024, head: 0, tail: 128 };

fn memory() -> SharedMemory {
    SharedMemory::private(RING.data + RING.size)
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
fn plain_bytes_pass_too() {
    let memory = memory();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    let mut consumer = Consumer::attach(&memory, RING).unwrap();
    let sent: Vec<u8> = (0..500_000_u32).map(|number| (number % 251) as u8).collect();
    let mut rest = &sent[..];
    let mut received = Vec::new();
    let mut piece = [0; 1009];
    while received.len() < sent.len() {
        let pushed = producer.push(rest).unwrap();
        rest = &rest[pushed..];
        let count = consumer.pop(&mut piece).unwrap();
        received.extend_from_slice(&piece[..count]);
    }
    assert_eq!(received, sent);
}

#[test]
fn a_frame_that_does_not_fit_leaves_no_trace() {
    let memory = memory();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    let frame = encode(&message(1, MAX_FRAME - 16)).unwrap();
    assert!(producer.push_frame(&frame).unwrap());
    let room = producer.room().unwrap();
    assert!(producer.push_frame(&vec![0; room]).unwrap());
    assert!(!producer.push_frame(&frame).unwrap());
    assert_eq!(producer.room().unwrap(), 0);
}

#[test]
fn impossible_geometries_are_refused() {
    let memory = memory();
    for geometry in [
        Geometry { size: 65_535, ..RING },
        Geometry { size: 128 * 1024, ..RING },
        Geometry { data: 257, ..RING },
        Geometry { head: 4, ..RING },
        Geometry { tail: usize::MAX, ..RING },
        Geometry { size: 1024, ..RING },
    ] {
        assert!(matches!(Producer::attach(&memory, geometry), Err(RingError::Geometry { .. })));
        assert!(matches!(Consumer::attach(&memory, geometry), Err(RingError::Geometry { .. })));
    }
}

#[test]
fn a_peer_that_publishes_half_a_frame_is_found_out() {
    let memory = memory();
    let mut producer = Producer::attach(&memory, RING).unwrap();
    let mut consumer = Consumer::attach(&memory, RING).unwrap();
    let frame = encode(&message(1, 100)).unwrap();
    producer.push(&frame[..50]).unwrap();
    let length = frame.len().next_multiple_of(ALIGNMENT);
    assert_eq!(consumer.next_frame::<ToGuest>(), Err(RingError::Torn { available: 50, length }));
    consumer.discard().unwrap();
    producer.push_message(&message(2, 5)).unwrap();
    assert_eq!(consumer.next_frame(), Ok(Some(message(2, 5))));
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
    /// The consumer dies.
    ConsumerDies,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_usize..300).prop_map(|length| Event::Send { length }),
        1 => (0_usize..MAX_FRAME - 64).prop_map(|length| Event::Send { length }),
        4 => Just(Event::Receive),
        1 => (0_usize..2000).prop_map(|wrote| Event::ProducerDies { wrote }),
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
            memory.u64(RING.head).unwrap().store(start, Ordering::Relaxed);
            memory.u64(RING.tail).unwrap().store(start, Ordering::Relaxed);
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
                        // What a producer that died in the middle leaves: bytes, and the old head.
                        let head = memory.u64(RING.head).unwrap().load(Ordering::Relaxed);
                        let tail = memory.u64(RING.tail).unwrap().load(Ordering::Relaxed);
                        let room = RING.size - head.wrapping_sub(tail) as usize;
                        for index in 0..(*wrote).min(room) as u64 {
                            let at = head.wrapping_add(index) % RING.size as u64;
                            memory.byte(RING.data + at as usize).unwrap().store(0xff, Ordering::Relaxed);
                        }
                        producer = Producer::attach(&memory, RING).unwrap();
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
            let value = if near { value % (2 * RING.size as u64) } else { value };
            memory.u64(RING.head).unwrap().store(value, Ordering::Relaxed);
            memory.u64(RING.tail).unwrap().store(!value, Ordering::Relaxed);
            let fits = memory.write(RING.data, &bytes);
            prop_assert!(fits);
            let _ = producer.push_message(&message(1, 100));
            let _ = producer.push(&bytes);
            let _ = consumer.next_frame::<ToGuest>();
            let _ = consumer.pop(&mut [0; 100]);
            let _ = consumer.discard();
            let _ = Producer::attach(&memory, RING);
            let _ = Consumer::attach(&memory, RING);
        }
    }
}
