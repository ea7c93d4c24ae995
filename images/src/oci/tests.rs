use std::fs;
use std::io::Write as _;

use tar::EntryType;

use super::*;
use crate::archive::tests::tar;

struct Layout(tempfile::TempDir);

impl Layout {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
        fs::write(directory.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .unwrap();
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Stores a blob; gives its descriptor, with `more` in it.
    fn blob(&self, kind: &str, bytes: &[u8], more: &str) -> String {
        let digest: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        fs::write(self.path().join("blobs/sha256").join(&digest), bytes).unwrap();
        let size = bytes.len();
        format!(r#"{{"mediaType":"{kind}","digest":"sha256:{digest}","size":{size}{more}}}"#)
    }

    fn image(&self, platform: &str, config: &str, layers: &[(&str, Vec<u8>)]) -> String {
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.as_bytes(), "");
        let layers: Vec<String> = layers
            .iter()
            .map(|(packing, bytes)| {
                self.blob(&format!("application/vnd.oci.image.layer.v1.tar{packing}"), bytes, "")
            })
            .collect();
        let manifest = format!(r#"{{"config":{config},"layers":[{}]}}"#, layers.join(","));
        let kind = "application/vnd.oci.image.manifest.v1+json";
        self.blob(kind, manifest.as_bytes(), platform)
    }

    fn index(&self, manifests: &[String]) {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, manifests.join(","));
        fs::write(self.path().join("index.json"), text).unwrap();
    }

    fn read(&self) -> Result<(Tree, Runs), OciError> {
        let mut tree = Tree::new(None).unwrap();
        add(self.path(), &mut tree, &()).map(|runs| (tree, runs))
    }
}

const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","config":{
    "User":"postgres","Env":["PATH=/bin","EMPTY=","A=b=c"],"WorkingDir":"/data",
    "Entrypoint":["/entry"],"Cmd":["serve","-v"]}}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn layers() -> Vec<(&'static str, Vec<u8>)> {
    let first = tar(&[
        (EntryType::Regular, "etc/hosts", "first"),
        (EntryType::Regular, "gone", "x"),
        (EntryType::Symlink, "lib", "usr/lib"),
        (EntryType::Directory, "usr/lib/", ""),
    ]);
    let second = tar(&[(EntryType::Regular, ".wh.gone", ""), (EntryType::Regular, "lib/so", "so")]);
    let third = tar(&[(EntryType::Regular, "etc/hosts", "third")]);
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zstd = ruzstd::encoding::compress_to_vec(&third[..], level);
    vec![("", first), ("+gzip", gzip(&second)), ("+zstd", zstd)]
}

#[test]
fn layers_lie_upon_each_other_and_the_configuration_is_read() {
    let layout = Layout::new();
    let other = layout.image(
        r#","platform":{"os":"linux","architecture":"arm64"}"#,
        r#"{"architecture":"arm64","os":"linux"}"#,
        &[],
    );
    let ours =
        layout.image(r#","platform":{"os":"linux","architecture":"amd64"}"#, CONFIG, &layers());
    let nested = format!(r#"{{"manifests":[{other},{ours}]}}"#);
    let kind = "application/vnd.oci.image.index.v1+json";
    layout.index(&[layout.blob(kind, nested.as_bytes(), "")]);
    let (tree, runs) = layout.read().unwrap();
    let names: Vec<_> = tree.entries().map(|(path, _)| path).collect();
    assert_eq!(names, ["etc", "etc/hosts", "lib", "usr", "usr/lib", "usr/lib/so"]);
    assert_eq!(tree.read("etc/hosts", 10).unwrap().unwrap(), b"third");
    let workload = runs.workload("main").unwrap();
    assert_eq!(workload.argv, ["/entry", "serve", "-v"]);
    assert_eq!(workload.user, "postgres");
    assert_eq!(workload.cwd, "/data");
    let env = [("PATH", "/bin"), ("EMPTY", ""), ("A", "b=c")];
    assert_eq!(workload.env, env.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn what_is_damaged_is_refused() {
    let layout = Layout::new();
    layout.index(&[layout.image("", CONFIG, &layers())]);
    assert!(layout.read().is_ok());
    for entry in fs::read_dir(layout.path().join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let mut broken = bytes.clone();
        broken[bytes.len() / 2] ^= 1;
        fs::write(&path, broken).unwrap();
        assert!(matches!(layout.read(), Err(OciError::Corrupted(_))), "{path:?}");
        fs::write(&path, &bytes[1..]).unwrap();
        assert!(matches!(layout.read(), Err(OciError::Corrupted(_))), "{path:?}");
        fs::remove_file(&path).unwrap();
        assert!(matches!(layout.read(), Err(OciError::Read(..))), "{path:?}");
        fs::write(&path, bytes).unwrap();
    }
    assert!(layout.read().is_ok());
}

#[test]
fn what_fits_not_or_twice_is_refused() {
    let layout = Layout::new();
    assert!(matches!(layout.read(), Err(OciError::Read(..))));
    layout.index(&[]);
    assert!(matches!(layout.read(), Err(OciError::OtherPlatform(_))));
    let one = layout.image("", CONFIG, &[]);
    let two = layout.image("", r#"{"architecture":"amd64","os":"linux"}"#, &[]);
    layout.index(&[one.clone(), two.clone()]);
    assert!(matches!(layout.read(), Err(OciError::Ambiguous)));
    layout.index(&[one.clone(), one.clone()]);
    assert!(layout.read().is_ok());
    layout.index(&[two]);
    assert_eq!(layout.read().unwrap().1.workload("main"), None);
    layout.index(&[layout.image("", r#"{"architecture":"arm64","os":"linux"}"#, &[])]);
    assert!(matches!(layout.read(), Err(OciError::OtherPlatform(_))));
    layout.index(&[layout.image("", CONFIG, &[("+bzip2", vec![1])])]);
    assert!(matches!(layout.read(), Err(OciError::LayerType(_))));
    let escaping = tar(&[(EntryType::Regular, "../../etc/cron.d/x", "x")]);
    layout.index(&[layout.image("", CONFIG, &[("", escaping)])]);
    assert!(matches!(layout.read(), Err(OciError::Layer(..))));
    layout.index(&[one.replace("sha256:", "sha256:../")]);
    assert!(matches!(layout.read(), Err(OciError::Digest(_))));
    fs::remove_file(layout.path().join("oci-layout")).unwrap();
    assert!(matches!(layout.read(), Err(OciError::NotALayout(_))));
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, text: String) {
        for bytes in [&bytes[..], text.as_bytes()] {
            let _ = parse_index(bytes);
            let _ = parse_manifest(bytes);
            let _ = parse_configuration(bytes).map(Configuration::runs);
        }
    }
}
