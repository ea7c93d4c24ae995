//! Benchmarks of single crates, which are programs of their own.

use std::path::PathBuf;
use std::process::Command;

/// Runs cargo and gives what it printed. With static glibc the crates are those of `make programs`,
/// built already.
pub fn cargo(command: &str, arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .args([command, "--quiet", "--target", "x86_64-unknown-linux-gnu"])
        .args(arguments)
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "cargo {command} {arguments:?} failed:\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Where [`cargo`] puts what it builds.
pub fn built(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target").into());
    target.join("x86_64-unknown-linux-gnu").join(name)
}
