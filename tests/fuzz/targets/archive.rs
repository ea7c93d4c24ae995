//! Tar archives: one into an empty tree, and as the upper and lower layer of an image.

#![no_main]

use fuzz::{check_tree, empty_tree};
use images::archive::{Whiteouts, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut tree = empty_tree();
    let _ = read(data, &mut tree, Whiteouts::Plain, &|path| !path.ends_with('~'));
    check_tree(&tree);
    // Whole blocks, so that both halves have headers where they are looked for.
    let (lower, upper) = data.split_at(data.len() / 2 / 512 * 512);
    let mut tree = empty_tree();
    let _ = read(lower, &mut tree, Whiteouts::Layer, &|_| true);
    let _ = read(upper, &mut tree, Whiteouts::Layer, &|_| true);
    check_tree(&tree);
});
