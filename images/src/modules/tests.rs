use super::*;

/// An ELF file with nothing in it but `.modinfo`.
pub(crate) fn module(info: &str) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    let info = info.replace('\n', "\0") + "\0";
    let (info_at, names_at) = (64, 64 + info.len());
    let table = names_at + names.len();
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(18, &62_u16.to_le_bytes());
    put(40, &(table as u64).to_le_bytes());
    put(58, &64_u16.to_le_bytes());
    put(60, &3_u16.to_le_bytes());
    put(62, &2_u16.to_le_bytes());
    bytes.extend(info.bytes());
    bytes.extend_from_slice(names);
    for (name, at, size) in [(0_u32, 0, 0), (1, info_at, info.len()), (10, names_at, names.len())] {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
        bytes.extend_from_slice(&header);
    }
    bytes
}

const FROM: &str = "lib/modules/6.1.0";

fn kernel(modules: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new(None).unwrap();
    for (path, info) in modules {
        tree.bytes(&format!("{FROM}/kernel/{path}"), Meta::root(0o644), &module(info)).unwrap();
    }
    let builtin = "kernel/fs/ext4/ext4.ko\nkernel/lib/crc-16.ko\n";
    tree.bytes(&format!("{FROM}/modules.builtin"), Meta::root(0o644), builtin.as_bytes()).unwrap();
    tree
}

fn run(tree: &Tree, wanted: &[&str]) -> Result<(Selection, Tree), ModulesError> {
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let mut target = Tree::new(None).unwrap();
    let selection = select(tree, FROM, &wanted, &mut target, "lib/modules/6.1.0")?;
    Ok((selection, target))
}

#[test]
fn modules_come_with_what_they_need_in_load_order() {
    let tree = kernel(&[
        ("virtio.ko", "depends=virtio_ring\nvermagic=6.1.0 SMP"),
        ("virtio_ring.ko", "depends="),
        ("net-failover.ko", "depends="),
        ("virtio-net.ko", "depends=virtio,virtio_ring,net_failover,crc_16\nsoftdep=pre: odd none"),
        ("odd.ko", "depends="),
        ("unused.ko", "depends="),
    ]);
    let (selection, target) = run(&tree, &["virtio-net", "virtio", "ext4", "bfq"]).unwrap();
    assert_eq!(selection.carried, ["virtio_ring", "virtio", "net_failover", "odd", "virtio_net"]);
    assert_eq!(selection.builtin, ["ext4"]);
    assert_eq!(selection.absent, ["bfq"]);
    let closure = target.read(&format!("{FROM}/{CLOSURE}"), 10_000).unwrap().unwrap();
    assert_eq!(
        String::from_utf8(closure).unwrap(),
        "virtio_ring: kernel/virtio_ring.ko\n\
         virtio: kernel/virtio.ko virtio_ring\n\
         net_failover: kernel/net-failover.ko\n\
         odd: kernel/odd.ko\n\
         virtio_net: kernel/virtio-net.ko virtio virtio_ring net_failover odd\n"
    );
    assert!(target.lookup(&format!("{FROM}/kernel/virtio-net.ko")).unwrap().is_some());
    assert!(target.lookup(&format!("{FROM}/kernel/unused.ko")).unwrap().is_none());
}

#[test]
fn incomplete_and_circular_modules_are_refused() {
    let tree = kernel(&[("a.ko", "depends=gone"), ("b.ko", "depends=c"), ("c.ko", "depends=b")]);
    assert!(matches!(run(&tree, &["a"]), Err(ModulesError::Incomplete(..))));
    assert!(matches!(run(&tree, &["b"]), Err(ModulesError::Circle(_))));
    assert!(matches!(run(&tree, &["../x"]), Err(ModulesError::Name(_))));
    let mut tree = kernel(&[]);
    tree.bytes(&format!("{FROM}/kernel/d.ko.xz"), Meta::root(0o644), b"text").unwrap();
    assert!(matches!(run(&tree, &["d"]), Err(ModulesError::Elf(..))));
}

#[test]
fn the_sets_that_come_along_are_proper() {
    let sets = sets().unwrap();
    for name in sets.guest.iter().chain(&sets.host) {
        assert_eq!(canonical(name).unwrap(), *name);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, at: proptest::sample::Index) {
        let mut whole = module("depends=a,b\nsoftdep=pre: c post: d");
        let at = at.index(whole.len());
        for (to, from) in whole.iter_mut().skip(at).zip(&bytes) {
            *to = *from;
        }
        let _ = parse_modinfo(&whole);
    }
}
