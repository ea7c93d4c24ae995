//! Files that are no cluster files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::*;

fn read_bytes(bytes: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let path = file.path().to_owned();
    let error = read(&path, &Known).unwrap_err().render(false);
    error.replace(&*path.to_string_lossy(), "FILE")
}

#[test]
fn bytes_that_are_not_text() {
    insta::assert_snapshot!(read_bytes(b"(\n  \xff\xfe)"), @"error: FILE:2: byte 4 is not UTF-8: save the file as UTF-8 text");
    insta::assert_snapshot!(read_bytes(b"(\0)"), @"error: FILE:1: a NUL byte: this is not a text file, or it was damaged");
    insta::assert_snapshot!(read_bytes(b"\xef\xbb\xbf()"), @"error: FILE begins with a byte order mark (UTF-8): save it as UTF-8 without one");
    insta::assert_snapshot!(read_bytes(b"\xff\xfe(\0)\0"), @"error: FILE begins with a byte order mark (UTF-16): save it as UTF-8 without one");
}

#[test]
fn things_that_are_not_files() {
    let directory = tempfile::tempdir().unwrap();
    let text = |path: &std::path::Path| {
        let error = read(path, &Known).unwrap_err().to_string();
        error.replace(&*directory.path().to_string_lossy(), "DIR")
    };
    insta::assert_snapshot!(text(directory.path()), @"DIR is a directory, not a file: name the file itself");
    insta::assert_snapshot!(text(&directory.path().join("absent")), @"cannot read DIR/absent: No such file or directory (os error 2). Check the path");
    insta::assert_snapshot!(text(std::path::Path::new("/dev/zero")), @"/dev/zero is a device, pipe or socket, not a file: name the file itself");
}

#[test]
fn a_file_without_permission() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o000)).unwrap();
    match fs::File::open(file.path()) {
        // Root may read everything: then there is nothing to refuse, and the empty file is no cluster.
        Ok(_) => assert!(matches!(read(file.path(), &Known), Err(ClusterError::Invalid(_)))),
        Err(_) => {
            let error = read(file.path(), &Known).unwrap_err().to_string();
            assert!(error.contains("Permission denied") && error.contains("chmod"), "{error}");
        }
    }
}

#[test]
fn a_text_of_four_gibibytes_is_refused_unread() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"(partitions: {\"a\": (image: \"").unwrap();
    // A hole: the file has 4 GiB and takes no room.
    file.as_file().set_len(4 << 30).unwrap();
    let start = Instant::now();
    let error = read(file.path(), &Known).unwrap_err();
    assert!(matches!(error, ClusterError::Source(SourceError::TooLarge { .. })), "{error}");
    assert!(start.elapsed() < Duration::from_millis(100));
}

/// Files of the largest size that are as bad as can be.
#[test]
fn hostile_files_cost_little() {
    let size = MAX_FILE as usize;
    let documents = [
        "(".repeat(size),
        "[{(".repeat(size / 3),
        "1,".repeat(size / 2),
        format!("[{}", "1,".repeat(size / 2 - 1)),
        "\"".repeat(size),
        "\\".repeat(size),
        format!("\"{}", "\\q".repeat(size / 2 - 1)),
        "/*".repeat(size / 2),
        ")".repeat(size),
        "r#".repeat(size / 2),
        format!("({}", "x:1,".repeat(size / 4 - 1)),
        format!("(partitions:{{{}", "a:(b:1),".repeat(size / 8 - 2)),
        format!("(partitions:{{\"a\":(image:\"{}\")}})", "x".repeat(size - 40)),
        format!("(partitions:{{\"a\":(cpus: Set(\"{}\"))}})", "0-65535,".repeat(size / 8 - 8)),
        "-".repeat(size),
        "\n".repeat(size),
        format!("(partitions:{{{}", "\"a\"\n".repeat(size / 4 - 8)),
    ];
    for document in documents {
        let start = Instant::now();
        let shown = parse_text(&document).unwrap_err().render(false);
        let head: String = document.chars().take(20).collect();
        assert!(start.elapsed() < Duration::from_secs(5), "{head}: {:?}", start.elapsed());
        assert!(shown.len() < 200_000, "{head}: {} bytes", shown.len());
        eprintln!("{head:?}: {:?}, {} bytes", start.elapsed(), shown.len());
    }
}
