//! OCI image layouts: their documents as they come, and configuration and layers in a layout whose
//! digests are right.

#![no_main]

use std::fs;
use std::path::Path;

use fuzz::{Input, check_tree, empty_tree};
use images::oci::{Configuration, add, parse_configuration, parse_index, parse_manifest};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

thread_local! {
    static LAYOUT: TempDir = {
        let directory = match fuzz::scratch() {
            Some(directory) => tempfile::tempdir_in(directory),
            None => tempfile::tempdir(),
        };
        let directory = directory.expect("a temporary directory can be made");
        fs::create_dir_all(directory.path().join("blobs/sha256")).expect("it can be written to");
        write(&directory.path().join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#);
        directory
    };
}

fuzz_target!(|data: &[u8]| {
    let _ = parse_index(data);
    let _ = parse_manifest(data);
    if let Ok(runs) = parse_configuration(data).map(Configuration::runs) {
        assert_eq!(runs.workload("main").is_none(), runs.argv.is_empty());
    }
    let mut input = Input(data);
    let (first, second) = (usize::from(input.u16()), usize::from(input.u16()));
    let (config, lower, upper) = (input.bytes(first), input.bytes(second), input.0);
    LAYOUT.with(|layout| {
        let layout = layout.path();
        let config = store(layout, "application/vnd.oci.image.config.v1+json", config);
        let layers = [lower, upper]
            .map(|layer| store(layout, "application/vnd.oci.image.layer.v1.tar+gzip", layer))
            .join(",");
        let manifest = format!(r#"{{"config":{config},"layers":[{layers}]}}"#);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = store(layout, kind, manifest.as_bytes());
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#);
        write(&layout.join("index.json"), index.as_bytes());
        let mut tree = empty_tree();
        let _ = add(layout, &mut tree, &());
        check_tree(&tree);
        for blob in fs::read_dir(layout.join("blobs/sha256")).expect("the directory is there") {
            fs::remove_file(blob.expect("it can be listed").path()).expect("a blob can go");
        }
    });
});

/// Stores a blob; gives its descriptor.
fn store(layout: &Path, kind: &str, bytes: &[u8]) -> String {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    write(&layout.join("blobs/sha256").join(&digest), bytes);
    let size = bytes.len();
    format!(r#"{{"mediaType":"{kind}","digest":"sha256:{digest}","size":{size}}}"#)
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file can be written");
}
