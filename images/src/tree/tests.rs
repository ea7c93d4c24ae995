use super::*;

fn tree() -> Tree {
    Tree::new(None).unwrap()
}

const META: Meta = Meta::root(0o644);

fn names(tree: &Tree) -> Vec<&str> {
    tree.entries().map(|(path, _)| path).collect()
}

#[test]
fn files_are_put_through_links_inside_the_tree() {
    let mut tree = tree();
    tree.directory("usr/lib", Meta::root(0o755)).unwrap();
    tree.symlink("lib", "usr/lib", META).unwrap();
    tree.symlink("up", "../../../usr", META).unwrap();
    tree.bytes("/lib/a", META, b"a").unwrap();
    tree.bytes("./up/b", META, b"b").unwrap();
    assert_eq!(names(&tree), ["lib", "up", "usr", "usr/b", "usr/lib", "usr/lib/a"]);
    assert_eq!(tree.read("lib/a", 10).unwrap().unwrap(), b"a");
}

#[test]
fn names_that_lead_out_are_refused() {
    let mut tree = tree();
    for path in ["../x", "a/../../x", "/..", "a/b/../../../c"] {
        assert!(matches!(tree.bytes(path, META, b""), Err(TreeError::Escapes(_))), "{path}");
    }
    tree.bytes("a", META, b"").unwrap();
    assert!(matches!(tree.hard_link("b", "../../etc/shadow"), Err(TreeError::Escapes(_))));
}

#[test]
fn links_in_a_circle_are_refused() {
    let mut tree = tree();
    tree.symlink("a", "b", META).unwrap();
    tree.symlink("b", "a", META).unwrap();
    assert!(matches!(tree.bytes("a/x", META, b""), Err(TreeError::Circle(_))));
    assert!(matches!(tree.hard_link("c", "d"), Err(TreeError::DanglingHardLink(..))));
    assert!(matches!(tree.hard_link("c", "c"), Err(TreeError::DanglingHardLink(..))));
}

#[test]
fn a_file_that_replaces_a_directory_takes_all_of_it_away() {
    let mut tree = tree();
    tree.bytes("a/b/c", META, b"").unwrap();
    tree.bytes("a-b", META, b"").unwrap();
    tree.bytes("a0", META, b"").unwrap();
    tree.bytes("a", META, b"").unwrap();
    assert_eq!(names(&tree), ["a", "a-b", "a0"]);
    assert!(matches!(tree.bytes("a/x", META, b""), Err(TreeError::NotADirectory(_))));
}

#[test]
fn large_contents_are_read_back() {
    let mut tree = tree();
    let large: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    assert_eq!(tree.file("large", META, &mut &large[..]).unwrap(), 400_000);
    tree.file("small", META, &mut &b"small"[..]).unwrap();
    tree.file("next", META, &mut &large[7..]).unwrap();
    assert_eq!(tree.read("large", 400_000).unwrap().unwrap(), large);
    assert_eq!(tree.read("next", 400_000).unwrap().unwrap(), &large[7..]);
    assert_eq!(tree.read("large", 399_999).unwrap(), None);
    assert_eq!(tree.total_size(), 799_998);
}

#[test]
fn an_archive_holds_hard_links_once_and_is_always_the_same() {
    let archive = || {
        let mut tree = tree();
        tree.bytes("z/first", META, &[7; 1000]).unwrap();
        tree.hard_link("a", "z/first").unwrap();
        tree.directory("d", Meta::root(0o700)).unwrap();
        tree.write_cpio(Vec::new(), &mut |_| {}).unwrap().0
    };
    let bytes = archive();
    assert_eq!(bytes, archive());
    assert_eq!(bytes.windows(1000).filter(|window| window == &[7; 1000]).count(), 1);
}

proptest::proptest! {
    #[test]
    fn no_sequence_of_names_leads_out(steps: Vec<(u8, String, String)>) {
        let mut tree = tree();
        for (kind, path, target) in steps {
            let _ = match kind % 5 {
                0 => tree.bytes(&path, META, b"x"),
                1 => tree.symlink(&path, &target, META),
                2 => tree.hard_link(&path, &target),
                3 => tree.directory(&path, META),
                _ => tree.remove(&path),
            };
        }
        for (path, _) in tree.entries() {
            proptest::prop_assert!(path.split('/').all(|name| !["", ".", ".."].contains(&name)));
        }
    }
}
