//! The one decoder, fed with pieces of any size.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use protocol::{FrameDecoder, FrameError, HEADER, MAX_FRAME, ToGuest, ToHost, decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|data: &[u8]| {
    let Some((piece, stream)) = data.split_first() else { return };
    let piece = usize::from(*piece) + 1;
    check::<ToHost>(stream, piece);
    check::<ToGuest>(stream, piece);
});

fn check<M: Serialize + DeserializeOwned + PartialEq + Debug>(stream: &[u8], piece: usize) {
    let (messages, end) = follow::<M>(stream, piece);
    let (whole, whole_end) = follow::<M>(stream, stream.len().max(1));
    assert_eq!((&messages, &end), (&whole, &whole_end), "how a stream is cut makes a difference");
    if let Err(error) = end {
        assert!(!error.to_string().is_empty());
    }
    for message in messages {
        let frame = encode(&message).expect("what came in one frame fits into one");
        assert_eq!(decode(&frame), Ok(Some((message, frame.len()))));
    }
}

fn follow<M: DeserializeOwned>(stream: &[u8], piece: usize) -> (Vec<M>, Result<(), FrameError>) {
    let mut decoder = FrameDecoder::new();
    let mut messages = Vec::new();
    for bytes in stream.chunks(piece) {
        decoder.push(bytes);
        loop {
            match decoder.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
        assert!(decoder.pending() < HEADER + MAX_FRAME, "more than an unfinished frame is held");
    }
    (messages, Ok(()))
}
