//! Entries of tar archives as no `tar` makes them (POSIX.1-1988, ustar).

/// One entry, its contents padded to whole blocks; `kind` is `b'0'` for a file, `b'1'` and `b'2'` for
/// hard and symbolic links to `link`.
pub fn entry(name: &str, kind: u8, link: &str, contents: &[u8]) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    let mut field = |at: usize, text: &str| {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    field(0, name);
    field(100, "0000644");
    field(108, "0000000");
    field(116, "0000000");
    field(124, &format!("{:011o}", contents.len()));
    field(136, "00000000000");
    field(148, "        ");
    field(157, link);
    field(257, "ustar\x0000");
    block[156] = kind;
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend_from_slice(contents);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}
