//! Images of this user's store: built, listed, removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boot::units::Bytes;
use images::build::{BuildEnv, build};
use images::definition::{Definition, DefinitionError, SHIPPED, shipped};
use images::manifest::Digest;
use images::store::{Image, Store};
use serde::Serialize;

use super::board::{Board, amount};
use super::companions::{self, GUEST_INIT};
use super::exit::{Failure, NOT_FOUND, USAGE};
use super::render::{Table, clean};
use super::table::Image as ImageCommand;
use super::{Context, output, upload};
use crate::api::StoredImage;
use crate::cluster::{self, Cluster, ClusterError, OnDisk, Source};

/// `image …`
pub fn run(context: &Context, command: ImageCommand) -> Result<(), Failure> {
    let client = match (&context.global().rig, &command) {
        // A rig's store is the supervisor's inside.
        (Some(_), ImageCommand::Ls | ImageCommand::Rm { .. }) => {
            Some(super::connect::existing(context)?)
        }
        _ => None,
    };
    match (command, client) {
        (ImageCommand::Build { what, name }, _) => build_all(context, &what, name.as_deref()),
        (ImageCommand::Ls, Some(client)) => show_list(context, &client.images()?),
        (ImageCommand::Ls, None) => list(context),
        (ImageCommand::Show { name }, _) => show(context, &name),
        (ImageCommand::Rm { names }, Some(client)) => {
            names.iter().try_for_each(|name| Ok(client.remove_image(name)?))
        }
        (ImageCommand::Rm { names }, None) => names.iter().try_for_each(|name| {
            let store = store()?;
            let freed = store.remove(&store.resolve(name)?.digest)?;
            context.remark(&format!("removed {}, {} are free", clean(name), amount(freed)));
            Ok(())
        }),
    }
}

/// The store of whoever runs this: root's is the supervisor's own.
pub fn store() -> Result<Store, Failure> {
    let root = match nix::unistd::geteuid().is_root() {
        true => crate::paths::Paths::default().images(),
        false => Store::default_cache()?.join("images"),
    };
    Ok(Store::open(root)?)
}

/// Names that a cluster file may use without defining them: those in the store, and those of the
/// definitions that come with partitiond.
pub fn known_names(store: &Store) -> Result<Vec<String>, Failure> {
    // A damaged image has no name that could be used; building it again mends it.
    let stored = store.list()?.into_iter().flatten().flat_map(|image| image.names);
    Ok(stored.chain(SHIPPED.iter().map(|(name, _)| (*name).to_owned())).collect())
}

/// Builds the images of a cluster, and those that it names without defining them and that come with
/// partitiond; gives their digests by the names in the file.
pub fn build_of_cluster(
    store: &Store,
    cluster: &Cluster,
    base: &Path,
    board: &Board,
) -> Result<BTreeMap<String, Digest>, Failure> {
    let mut digests = BTreeMap::new();
    for partition in cluster.partitions.values() {
        let name = &partition.image;
        if digests.contains_key(name) {
            continue;
        }
        let shipped = shipped_definition(name);
        let digest = match (cluster.images.get(name), store.resolve(name), shipped) {
            (Some(definition), _, _) => build_one(store, name, definition, base, board)?,
            (None, Ok(image), _) => image.digest,
            (None, Err(_), Some(shipped)) => build_one(store, name, &shipped?, base, board)?,
            (None, Err(error), None) => return Err(error.into()),
        };
        digests.insert(name.clone(), digest);
    }
    Ok(digests)
}

/// A definition that comes with partitiond, where there is one of this name.
pub fn shipped_definition(name: &str) -> Option<Result<Definition, Failure>> {
    let definition = shipped(name)?.map_err(DefinitionError::Invalid);
    Some(definition.map_err(|error| Failure::definition(&error, false)))
}

/// The names of the definitions that come with partitiond, for messages.
pub fn known_definitions() -> String {
    SHIPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The definition in a file.
pub fn read_definition(context: &Context, path: &Path) -> Result<Definition, Failure> {
    Definition::read(path).map_err(|error| Failure::definition(&error, context.err().color()))
}

fn build_one(
    store: &Store,
    name: &str,
    definition: &Definition,
    base: &Path,
    board: &Board,
) -> Result<Digest, Failure> {
    let guest_init = companions::find(GUEST_INIT)?;
    let cache = Store::default_cache()?;
    let env = BuildEnv { store, cache: &cache, guest_init: &guest_init, busybox: None, base };
    let task = board.task(&format!("image {name}"));
    match build(definition, &env, &task) {
        Ok(digest) => {
            let image = store.image(&digest)?;
            let release = clean(&image.manifest.kernel.release);
            task.done(&format!("{release}, {} ({})", amount(image.size()), digest.short()));
            Ok(digest)
        }
        Err(error) => {
            task.failed("not built");
            Err(Failure::failed(format_args!("image `{name}`: {}", crate::errors::chain(&error))))
        }
    }
}

fn build_all(context: &Context, what: &[String], name: Option<&str>) -> Result<(), Failure> {
    let store = store()?;
    let board = context.board();
    let mut built = Vec::new();
    for what in what {
        let here = Path::new(".");
        let tagged = match shipped_definition(what) {
            Some(shipped) => {
                vec![(what.clone(), build_one(&store, what, &shipped?, here, &board)?)]
            }
            None => of_file(context, &store, Path::new(what), &board)?,
        };
        built.extend(tagged);
    }
    if let Some(name) = name {
        let [(tag, _)] = &mut *built else {
            let count = built.len();
            return Err(Failure::with_status(
                USAGE,
                format_args!("--name names one image, and {count} were built"),
            ));
        };
        name.clone_into(tag);
    }
    let mut images = Vec::new();
    for (name, digest) in &built {
        store.writing()?.tag(digest, name)?;
        images.push(stored(store.image(digest)?));
    }
    if context.global().rig.is_some() {
        let client = super::connect::started(context)?;
        for (name, digest) in &built {
            upload::image(&client, &store, name, digest, &board)?;
        }
    }
    drop(board);
    show_list(context, &images)
}

/// The images of a file: a cluster file with definitions, or one definition.
fn of_file(
    context: &Context,
    store: &Store,
    path: &Path,
    board: &Board,
) -> Result<Vec<(String, Digest)>, Failure> {
    // Names of definitions have dots in them.
    let like_a_name =
        !path.to_string_lossy().contains('/') && path.extension() != Some("ron".as_ref());
    if !path.exists() {
        let path = path.display();
        let message = match like_a_name {
            true => format!("no definition `{path}`; there are {}", known_definitions()),
            false => format!("no file {path}"),
        };
        return Err(Failure::with_status(NOT_FOUND, message));
    }
    let base = path.parent().unwrap_or(Path::new("."));
    let color = context.err().color();
    let source = Source::read(path).map_err(|error| Failure::definition(&error.into(), color))?;
    if !cluster::is_one(&source) {
        let definition = Definition::parse(source).map_err(DefinitionError::Invalid);
        let definition = definition.map_err(|error| Failure::definition(&error, color))?;
        let name = path.file_stem().map_or("image".into(), |stem| stem.to_string_lossy());
        return Ok(vec![(name.to_string(), build_one(store, &name, &definition, base, board)?)]);
    }
    let file = cluster::parse(source, &OnDisk::new(path, known_names(store)?))
        .map_err(|errors| Failure::cluster(&ClusterError::Invalid(errors), color))?;
    let images = file.cluster.images.iter();
    images
        .map(|(name, definition)| {
            Ok((name.clone(), build_one(store, name, definition, base, board)?))
        })
        .collect()
}

fn stored(image: Image) -> StoredImage {
    StoredImage {
        size: image.size(),
        digest: image.digest.to_string(),
        kernel: image.manifest.kernel.release,
        names: image.names,
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let mut images = Vec::new();
    for image in store()?.list()? {
        match image {
            Ok(image) => images.push(stored(image)),
            Err(error) => context.remark(&error.to_string()),
        }
    }
    show_list(context, &images)?;
    if !context.json() {
        let known = known_definitions();
        context.remark(&format!("definitions that can be built by name: {known}"));
    }
    Ok(())
}

fn show_list(context: &Context, images: &[StoredImage]) -> Result<(), Failure> {
    if context.json() {
        return output::json(images);
    }
    let style = context.out();
    let mut table =
        Table::with_heading(&["NAME", "DIGEST", "KERNEL", "SIZE"], |text| style.dim(text));
    for image in images {
        let names = if image.names.is_empty() { "—".to_owned() } else { image.names.join(", ") };
        let digest: String = image.digest.chars().take(12).collect();
        table.row([clean(&names), digest, clean(&image.kernel), Bytes(image.size).human()]);
    }
    output::text(&table.render())
}

#[derive(Serialize)]
struct Shown<'a> {
    digest: &'a Digest,
    names: &'a [String],
    size: u64,
    store: PathBuf,
    manifest: &'a images::manifest::Manifest,
}

fn show(context: &Context, name: &str) -> Result<(), Failure> {
    let store = store()?;
    let image = store.resolve(name)?;
    let (kernel, style) = (&image.manifest.kernel, context.out());
    if context.json() {
        return output::json(&Shown {
            digest: &image.digest,
            names: &image.names,
            size: image.size(),
            store: store.root().to_owned(),
            manifest: &image.manifest,
        });
    }
    let mut table = Table::default();
    let mut line = |label: &str, value: String| {
        table.painted([(label.to_owned(), Some(style.dim(label))), (clean(&value), None)]);
    };
    line("names", image.names.join(", "));
    line("digest", image.digest.to_string());
    line("size", Bytes(image.size()).human());
    line("kernel", kernel.release.clone());
    line("from", kernel.origin.clone());
    line(
        "vmlinux",
        format!("{}  {}", kernel.vmlinux.digest.short(), Bytes(kernel.vmlinux.size).human()),
    );
    for part in &image.manifest.initramfs {
        line("initramfs", format!("{}  {}", part.digest.short(), Bytes(part.size).human()));
    }
    line("cmdline", image.manifest.cmdline.clone());
    line("profile", image.manifest.profile.clone().unwrap_or_else(|| "none".to_owned()));
    if !image.manifest.modules.is_empty() {
        line("loads", image.manifest.modules.join(", "));
    }
    for workload in &image.manifest.workloads {
        line("workload", format!("{}: {}", workload.name, workload.argv.join(" ")));
    }
    output::text(&table.render())
}
