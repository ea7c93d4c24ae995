//! `up`: from a cluster file to partitions that are ready.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use images::store::Store;
use profiles::diagnostic::Source;

use super::board::{Board, Task};
use super::exit::{FAILED, Failure, USAGE};
use super::render::{Outcome, clean, duration, headline, outcome};
use super::table::{RigShape, Up};
use super::{Context, connect, image, output, partitions, rig, terminal, upload};
use crate::api::{PartitionStatus, Progress, UpRequest};
use crate::client::{Client, Lines};
use crate::cluster::{self, ClusterFile, OnDisk};

/// `up FILE`
pub fn run(context: &Context, options: &Up) -> Result<(), Failure> {
    let store = image::store()?;
    // What is wrong with the file is said before anything is started for it.
    let file = read(context, &options.file, &store)?;
    let board = context.board();
    match &context.global().rig {
        Some(name) => {
            let rig = Rc::new(rig::ensure(context, name, &options.shape)?);
            rig::supervise(&rig)?;
        }
        None if options.shape != RigShape::default() => {
            return Err(Failure::with_status(
                USAGE,
                "--cpus, --sockets, --memory, --kernel and --qemu describe a virtual server",
            )
            .hint("add --rig"));
        }
        None => {}
    }
    let client = connect::started(context)?;
    let request = request(&client, &file, &options.file, &store, &board)?;
    let done = follow(context, &board, client.up(&request)?)?;
    drop(board);
    conclude(context, &client, &done)?;
    done.result()
}

/// Reads a cluster file; its errors are shown with their lines.
pub fn read(context: &Context, path: &Path, store: &Store) -> Result<ClusterFile, Failure> {
    let surroundings = OnDisk::new(path, image::known_names(store)?);
    cluster::read(path, &surroundings)
        .map_err(|error| Failure::cluster(&error, context.err().color()))
}

/// What the supervisor needs: the file, and its images in the supervisor's store.
pub fn request(
    client: &Client,
    file: &ClusterFile,
    path: &Path,
    store: &Store,
    board: &Board,
) -> Result<UpRequest, Failure> {
    let base = path.parent().unwrap_or(Path::new("."));
    let digests = image::build_of_cluster(store, &file.cluster, base, board)?;
    for (name, digest) in &digests {
        upload::image(client, store, name, digest, board)?;
    }
    let mut profiles = BTreeMap::new();
    let partitions = file.cluster.partitions.values().filter_map(|it| it.profile.as_ref());
    let images = file.cluster.images.values().filter_map(|image| image.profile.as_ref());
    for name in partitions.chain(images) {
        let source = Source::read(&base.join(name)).map_err(|error| Failure::of(&error))?;
        profiles.insert(name.clone(), source.text().to_owned());
    }
    Ok(UpRequest {
        profiles,
        path: file.source().name().to_owned(),
        text: file.source().text().to_owned(),
        images: digests.into_iter().map(|(name, digest)| (name, digest.to_string())).collect(),
    })
}

/// What a stream of progress came to.
#[derive(Debug, Default)]
pub struct Done {
    up: BTreeMap<String, u64>,
    kept: Vec<String>,
    failed: BTreeMap<String, Failure>,
    ok: Option<bool>,
}

impl Done {
    /// As an exit status: that of the first failure, which has been told already.
    pub fn result(&self) -> Result<(), Failure> {
        match (self.ok, self.failed.values().next()) {
            (Some(true), None) => Ok(()),
            (_, Some(failure)) => Err(Failure::silent(failure.status)),
            (Some(_), None) => Err(Failure::with_status(FAILED, "not all of it could be done")),
            (None, None) => Err(Failure::failed(
                "the supervisor went away before it was done; `partitiond ps` tells what is there",
            )),
        }
    }
}

/// Shows progress as it happens, and gives what it came to.
pub fn follow(
    context: &Context,
    board: &Board,
    stream: Lines<'_, Progress>,
) -> Result<Done, Failure> {
    let mut done = Done::default();
    let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
    for progress in stream {
        let progress = progress?;
        if context.json() {
            output::json_line(&progress)?;
        }
        match progress {
            Progress::Plan { text, .. } => board.remark(clean_lines(&text).trim_end()),
            Progress::Step { partition, step } => {
                tasks.entry(partition).or_insert_with_key(|name| board.task(name)).now(&step);
            }
            Progress::Up { status, milliseconds } => {
                let task = tasks.remove(&status.name);
                let task = task.unwrap_or_else(|| board.task(&status.name));
                task.done(&format!("up in {}", duration(milliseconds)));
                done.up.insert(status.name.clone(), milliseconds);
            }
            Progress::Kept { partition } => done.kept.push(partition),
            Progress::Down { partition, milliseconds } => {
                let task = tasks.remove(&partition).unwrap_or_else(|| board.task(&partition));
                task.done(&format!("down in {}", duration(milliseconds)));
            }
            Progress::Warning { text } => {
                board.alarm(&format!("{} {}", context.err().warn("warning:"), clean(&text)));
            }
            Progress::Failed { partition, problem } => {
                if let Some(task) = tasks.remove(&partition) {
                    task.failed("failed");
                }
                let mut failure = Failure::from(&problem);
                failure.message = clean_lines(&failure.message);
                // Without a name it is about all of them.
                if !partition.is_empty() {
                    failure.message = format!("{}: {}", clean(&partition), failure.message);
                }
                board.alarm(&super::context::failure_text(&failure, context.err()));
                done.failed.insert(partition, failure);
            }
            Progress::Done { ok } => {
                done.ok = Some(ok);
                break;
            }
        }
    }
    Ok(done)
}

/// Text of several lines, each fit for a terminal.
fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// The machine, its partitions and who has what, as it is now.
fn conclude(context: &Context, client: &Client, done: &Done) -> Result<(), Failure> {
    if context.json() {
        return Ok(());
    }
    let all = client.partitions()?;
    let concerned = |status: PartitionStatus| {
        let outcome = match done.up.get(&status.name) {
            Some(milliseconds) => Outcome::Up(*milliseconds),
            None if done.failed.contains_key(&status.name) => Outcome::Failed,
            None if done.kept.contains(&status.name) => Outcome::Kept,
            None => return None,
        };
        Some((status, outcome))
    };
    let shown: Vec<_> = all.iter().cloned().filter_map(concerned).collect();
    let machine = client.machine()?.machine;
    let rig = context.global().rig.as_ref().map(|_| "rig");
    let mut text = headline(&machine, rig, context.out());
    text += &outcome(&shown, context.out());
    text.push('\n');
    text += &partitions::draw(&machine, &all, context.out().look(terminal::width()));
    output::text(&text)
}
