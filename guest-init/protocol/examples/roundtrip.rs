//! What a small message and its answer cost between two CPUs, against polling a bare word.
//!
//! ```text
//! roundtrip [SECONDS]
//! ```
//!
//! Two threads, each on a CPU of its own, share one mailbox. One asks, the other answers, in turns of
//! two kinds: a bare word is written and copied back ([`Mailbox::set_ping`], [`Mailbox::set_pong`]),
//! or a [`ToGuest::Ping`] is encoded, sent, received, decoded and answered by a [`ToHost::Pong`] all
//! the same way. The kinds alternate, round by round, in the same threads and the same memory, so
//! that whatever else the machine does falls upon both.
//!
//! `raw_ns` and `channel_ns` are medians over rounds, `ratio` is the median of the rounds' own
//! ratios. The `p99` come from rounds in which each round trip is timed by itself; reading the clock
//! is part of those.

use std::error::Error;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use protocol::channel::{Channel, RingChannel};
use protocol::mailbox::{BootClock, Mailbox, SIZE};
use protocol::{SharedMemory, ToGuest, ToHost};

/// Round trips of a round: few, so that most rounds pass without the scheduler taking a CPU away.
const COUNT: u64 = 100;
/// Round trips before the clock starts: the other thread has been asleep.
const WARM_UP: u64 = 100;
/// How long to measure unless told otherwise.
const SECONDS: f64 = 3.0;

type Failure = Box<dyn Error + Send + Sync>;

/// What a round's messages travel over.
#[derive(Clone, Copy)]
enum Kind {
    Word,
    Channel,
}

/// One side of the measurement.
struct Side {
    mailbox: Mailbox,
    channel: RingChannel,
    /// The word last written or seen: the next one differs.
    word: u64,
}

fn main() -> Result<(), Failure> {
    let seconds = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => SECONDS,
    };
    let duration = Duration::try_from_secs_f64(seconds)?;
    let [here, there] = two_cpus()?;
    let mailbox = Mailbox::create(SharedMemory::private(SIZE), BootClock::default())?;
    let asking = Side { channel: mailbox.host_channel()?, mailbox: mailbox.clone(), word: 0 };
    let answering = Side { channel: mailbox.guest_channel()?, mailbox, word: 0 };

    let (rounds, orders) = channel();
    let other = thread::spawn(move || answer(answering, there, &orders));
    // A failure here ends the process: the other thread may be waiting for a message for ever.
    let measured = measure(asking, here, &rounds, duration)?;
    drop(rounds);
    other.join().map_err(|_| "the answering thread has panicked")??;
    print(measured, [here, there]);
    Ok(())
}

/// What was measured, in nanoseconds a round trip.
#[derive(Default)]
struct Measured {
    /// Means of rounds.
    raw: Vec<f64>,
    channel: Vec<f64>,
    ratio: Vec<f64>,
    /// Single round trips.
    raw_single: Vec<f64>,
    channel_single: Vec<f64>,
}

fn measure(
    mut side: Side,
    cpu: usize,
    rounds: &Sender<Kind>,
    duration: Duration,
) -> Result<Measured, Failure> {
    pin(cpu)?;
    let mut measured = Measured::default();
    let end = Instant::now() + duration;
    while Instant::now() < end || measured.raw.is_empty() {
        let raw = round(&mut side, rounds, Kind::Word)?;
        let channel = round(&mut side, rounds, Kind::Channel)?;
        measured.raw.push(raw);
        measured.channel.push(channel);
        measured.ratio.push(channel / raw);
        singles(&mut side, rounds, Kind::Word, &mut measured.raw_single)?;
        singles(&mut side, rounds, Kind::Channel, &mut measured.channel_single)?;
    }
    Ok(measured)
}

/// One round; nanoseconds a round trip.
fn round(side: &mut Side, rounds: &Sender<Kind>, kind: Kind) -> Result<f64, Failure> {
    rounds.send(kind)?;
    side.ask(kind, WARM_UP)?;
    let start = Instant::now();
    side.ask(kind, COUNT)?;
    Ok(start.elapsed().as_nanos() as f64 / COUNT as f64)
}

/// One round in which each round trip is timed by itself.
fn singles(
    side: &mut Side,
    rounds: &Sender<Kind>,
    kind: Kind,
    times: &mut Vec<f64>,
) -> Result<(), Failure> {
    rounds.send(kind)?;
    side.ask(kind, WARM_UP)?;
    let mut last = Instant::now();
    for _ in 0..COUNT {
        side.ask(kind, 1)?;
        let now = Instant::now();
        times.push(now.duration_since(last).as_nanos() as f64);
        last = now;
    }
    Ok(())
}

impl Side {
    fn ask(&mut self, kind: Kind, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            self.word += 1;
            let sequence = self.word;
            match kind {
                Kind::Word => {
                    self.mailbox.set_ping(sequence);
                    while self.mailbox.pong() != sequence {}
                }
                Kind::Channel => {
                    if !self.channel.send(&ToGuest::Ping { sequence })? {
                        return Err("the ring is full".into());
                    }
                    let answer: ToHost = loop {
                        if let Some(answer) = self.channel.receive()? {
                            break answer;
                        }
                    };
                    if answer != (ToHost::Pong { sequence }) {
                        return Err("not the answer to what was asked".into());
                    }
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, kind: Kind, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            match kind {
                Kind::Word => {
                    let mut word = self.mailbox.ping();
                    while word == self.word {
                        word = self.mailbox.ping();
                    }
                    self.mailbox.set_pong(word);
                    self.word = word;
                }
                Kind::Channel => {
                    let message: ToGuest = loop {
                        if let Some(message) = self.channel.receive()? {
                            break message;
                        }
                    };
                    let ToGuest::Ping { sequence } = message else {
                        return Err("not a ping".into());
                    };
                    if !self.channel.send(&ToHost::Pong { sequence })? {
                        return Err("the ring is full".into());
                    }
                }
            }
        }
        Ok(())
    }
}

fn answer(mut side: Side, cpu: usize, orders: &Receiver<Kind>) -> Result<(), Failure> {
    pin(cpu)?;
    while let Ok(kind) = orders.recv() {
        side.answer(kind, WARM_UP + COUNT)?;
    }
    Ok(())
}

/// The first two CPUs that this process may run on.
fn two_cpus() -> Result<[usize; 2], Failure> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    match (cpus.next(), cpus.next()) {
        (Some(one), Some(other)) => Ok([one, other]),
        _ => Err("two CPUs are needed: a side on each".into()),
    }
}

fn pin(cpu: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn print(mut measured: Measured, [here, there]: [usize; 2]) {
    println!(
        "raw_ns={:.1} channel_ns={:.1} ratio={:.3} raw_p99_ns={:.0} channel_p99_ns={:.0} rounds={} \
         cpus={here},{there}",
        quantile(&mut measured.raw, 0.5),
        quantile(&mut measured.channel, 0.5),
        quantile(&mut measured.ratio, 0.5),
        quantile(&mut measured.raw_single, 0.99),
        quantile(&mut measured.channel_single, 0.99),
        measured.ratio.len(),
    );
}

/// The value below which this share of the values lies.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}
