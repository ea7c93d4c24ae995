//! Entropy (virtio 1.2, section 5.4): the driver's memory is filled with random bytes.

use std::io;

use super::{Device, Queues, Spoilt};

/// The number of its kind.
const KIND: u32 = 4;

/// Bytes that one request gets at most, however long its memory is: it may come again.
const MOST: usize = 4096;

/// Where random bytes come from.
pub type Source = Box<dyn FnMut(&mut [u8]) -> io::Result<()> + Send>;

/// The device.
pub struct Rng {
    source: Source,
}

impl Rng {
    /// One that gives what this gives.
    pub fn new(source: Source) -> Self {
        Self { source }
    }
}

impl Device for Rng {
    fn kind(&self) -> u32 {
        KIND
    }

    fn queue_sizes(&self) -> &[u16] {
        &[64]
    }

    fn serve(&mut self, queue: u16, queues: &mut Queues<'_>) -> Result<(), Spoilt> {
        queues.take_all(queue, |request| {
            let mut bytes = [0; MOST];
            let room = request.writer.available_bytes().min(MOST);
            let Some(bytes) = bytes.get_mut(..room) else { return 0 };
            // What cannot be given is not given: the driver asks elsewhere.
            match (self.source)(bytes).and_then(|()| io::Write::write(&mut request.writer, bytes)) {
                Ok(written) => written as u32,
                Err(_) => 0,
            }
        })
    }
}
