//! One reader beside many writers, past the page cache.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::arguments::Arguments;
use crate::memory::PAGE;
use crate::numbers::{Random, Readings, percentile};
use crate::tcp::joined;

/// Bytes of a write.
const WRITE: usize = 65536;

/// For `time=` milliseconds, one thread reads single pages of `device=` anywhere in its `mib=` MiB, and
/// `writers=` threads write 64 KiB at a time.
pub fn run(arguments: &Arguments) -> Result<Readings, Failure> {
    let (size, time) = (arguments.mebibytes("mib")?, arguments.milliseconds("time")?);
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(arguments.text("device")?)?;
    let device = Arc::new(device);
    let (over, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..arguments.number("writers")?)
        .map(|number| {
            let (device, over, writes) = (device.clone(), over.clone(), writes.clone());
            std::thread::spawn(move || write(&device, size, number as u64, &over, &writes))
        })
        .collect();
    // Until the queue is full.
    std::thread::sleep(Duration::from_millis(500));
    writes.store(0, Ordering::Relaxed);
    let begun = Instant::now();
    let read = read(&device, size, time);
    let elapsed = begun.elapsed().as_secs_f64();
    let written = writes.load(Ordering::Relaxed) as f64 * WRITE as f64 / 1048576.0;
    over.store(true, Ordering::Relaxed);
    writers.into_iter().try_for_each(joined)?;
    let mut times = read?;
    Ok(Readings::default()
        .with("read_median_ms", percentile(&mut times, 0.5))
        .with("read_p99_ms", percentile(&mut times, 0.99))
        .with("write_mib_per_s", written / elapsed))
}

fn read(device: &File, size: usize, time: Duration) -> Result<Vec<Duration>, Failure> {
    let (mut random, mut buffer) = (Random::new(7), Aligned::new(PAGE));
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let place = random.below(size / PAGE) * PAGE;
        let one = Instant::now();
        device.read_exact_at(buffer.bytes(), place as u64)?;
        times.push(one.elapsed());
    }
    Ok(times)
}

fn write(
    device: &File,
    size: usize,
    seed: u64,
    over: &AtomicBool,
    writes: &AtomicU64,
) -> Result<(), Failure> {
    let (mut random, mut buffer) = (Random::new(seed + 100), Aligned::new(WRITE));
    while !over.load(Ordering::Relaxed) {
        let place = random.below(size / WRITE) * WRITE;
        device.write_all_at(buffer.bytes(), place as u64)?;
        writes.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// A buffer where pages begin, as devices want it.
struct Aligned {
    start: *mut u8,
    layout: Layout,
}

impl Aligned {
    fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, PAGE).unwrap_or(Layout::new::<u64>());
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        Self { start, layout }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: allocated with this size, initialised, and borrowed from `self` alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.layout.size()) }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: allocated by us with this layout, and nobody refers to it any more.
        unsafe { dealloc(self.start, self.layout) };
    }
}
