//! A keeper for trying guest-init by hand: talks to one through a mailbox in a file, such as the
//! memory of a QEMU machine.
//!
//! ```text
//! keeper FILE OFFSET create            writes an empty mailbox
//! keeper FILE OFFSET watch SECONDS     attaches and prints what arrives
//! keeper FILE OFFSET ping COUNT        measures round trips, raw and through the rings
//! keeper FILE OFFSET exec PROGRAM…     runs a program
//! keeper FILE OFFSET stop              powers off
//! ```

use std::error::Error;
use std::fs::File;
use std::time::{Duration, Instant};

use protocol::channel::{Channel, RingChannel};
use protocol::mailbox::{BootClock, Mailbox, SIZE};
use protocol::{
    Configuration, ExecRequest, SessionId, SharedMemory, Stop, ToGuest, ToHost, VERSION,
};

const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, offset, command, rest @ ..] = arguments.as_slice() else {
        return Err("usage: keeper FILE OFFSET create|watch|ping|exec|stop …".into());
    };
    let file = File::options().read(true).write(true).open(file)?;
    let offset = u64::from_str_radix(offset.trim_start_matches("0x"), 16)?;
    let memory = SharedMemory::map_file(&file, offset, SIZE)?;
    if command == "create" {
        Mailbox::create(memory, BootClock::default())?;
        return Ok(());
    }
    let mailbox = Mailbox::open(memory)?;
    let mut channel = mailbox.host_channel()?;
    let first = rest.first().map_or("", String::as_str);
    mailbox.set_host_awake(true);
    let result = match command.as_str() {
        "watch" => watch(&mailbox, &mut channel, Duration::from_secs(first.parse()?)),
        "ping" => ping(&mailbox, &mut channel, first.parse()?),
        "exec" => exec(&mut channel, rest),
        "stop" => send(&mut channel, ToGuest::Shutdown { stop: Stop::PowerOff, grace_ms: 500 }),
        _ => Err("no such command".into()),
    };
    mailbox.set_host_awake(false);
    result
}

fn send(channel: &mut RingChannel, message: ToGuest) -> Result<(), Box<dyn Error>> {
    if channel.send(&message)? { Ok(()) } else { Err("the ring is full".into()) }
}

fn receive(channel: &mut RingChannel) -> Result<ToHost, Box<dyn Error>> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(message) = channel.receive()? {
            return Ok(message);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Err("no answer".into())
}

fn watch(
    mailbox: &Mailbox,
    channel: &mut RingChannel,
    time: Duration,
) -> Result<(), Box<dyn Error>> {
    mailbox.next_generation();
    mailbox.set_host_awake(false);
    let start = Instant::now();
    while start.elapsed() < time {
        match channel.receive()? {
            Some(message) => {
                println!("{:8.3} {message:?}", start.elapsed().as_secs_f64());
                if matches!(message, ToHost::Hello(_)) {
                    let hostname = "tried".to_owned();
                    let workloads = Vec::new();
                    let configuration = Configuration { version: VERSION, hostname, workloads };
                    send(channel, ToGuest::Configure(Box::new(configuration)))?;
                }
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    Ok(())
}

fn percentiles(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100);
    println!("{what}: p50 {:?} p99 {:?}", at(50), at(99));
}

fn ping(mailbox: &Mailbox, channel: &mut RingChannel, count: u64) -> Result<(), Box<dyn Error>> {
    while channel.receive::<ToHost>()?.is_some() {}
    for round in 0..2 {
        let mut times = Vec::new();
        let base = mailbox.ping();
        for number in 1..=count {
            let start = Instant::now();
            mailbox.set_ping(base.wrapping_add(number));
            while mailbox.pong() != base.wrapping_add(number) {
                if start.elapsed() > PATIENCE {
                    return Err("no answer".into());
                }
                std::hint::spin_loop();
            }
            times.push(start.elapsed());
        }
        percentiles(&format!("raw word, round {round}"), times);
        let mut times = Vec::new();
        for sequence in 0..count {
            let start = Instant::now();
            send(channel, ToGuest::Ping { sequence })?;
            while channel.receive()? != Some(ToHost::Pong { sequence }) {
                if start.elapsed() > PATIENCE {
                    return Err("no answer".into());
                }
                std::hint::spin_loop();
            }
            times.push(start.elapsed());
        }
        percentiles(&format!("message, round {round}"), times);
    }
    Ok(())
}

fn exec(channel: &mut RingChannel, argv: &[String]) -> Result<(), Box<dyn Error>> {
    let session = SessionId(std::process::id());
    send(
        channel,
        ToGuest::Exec(Box::new(ExecRequest {
            session,
            argv: argv.to_vec(),
            env: Vec::new(),
            cwd: String::new(),
            user: String::new(),
            terminal: None,
        })),
    )?;
    loop {
        match receive(channel)? {
            ToHost::Output { data, .. } => print!("{}", String::from_utf8_lossy(&data)),
            message @ (ToHost::Exited { .. } | ToHost::Failed { .. } | ToHost::Stopping { .. }) => {
                println!("{message:?}");
                return Ok(());
            }
            _ => {}
        }
    }
}
