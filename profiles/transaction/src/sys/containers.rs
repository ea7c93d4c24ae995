//! Which image a container was made from, by what its runtime leaves on disk. The kernel knows of control
//! groups only: their names have the container's number in them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Digits of a container's number, in hexadecimal.
const DIGITS: usize = 64;
/// More than a runtime writes of one container.
const LARGEST: u64 = 4 << 20;
/// More namespaces than containerd has on one machine.
const NAMESPACES: usize = 64;

/// The image that a process of this control group was made from, as its runtime names it:
/// `docker.io/library/postgres:16`.
pub fn image_of(root: &Path, cgroup: &str) -> Option<String> {
    let id = id_of(cgroup)?;
    let at = |path: &str| root.join(path);
    docker(&at("var/lib/docker/containers"), id)
        .or_else(|| containerd(&at("run/containerd/io.containerd.runtime.v2.task"), id))
        .or_else(|| storage(&at("var/lib/containers/storage/overlay-containers"), id))
}

/// The container's number in a path such as `/system.slice/docker-0123….scope`.
fn id_of(cgroup: &str) -> Option<&str> {
    let mut words = cgroup.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.find(|word| {
        let hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        word.len() == DIGITS && word.bytes().all(hex)
    })
}

fn docker(containers: &Path, id: &str) -> Option<String> {
    let config = json(&containers.join(id).join("config.v2.json"))?;
    text(&config["Config"]["Image"])
}

/// What Kubernetes has containerd write into the container's bundle.
fn containerd(tasks: &Path, id: &str) -> Option<String> {
    let namespaces = fs::read_dir(tasks).ok()?.take(NAMESPACES).filter_map(Result::ok);
    let mut bundles = namespaces.map(|namespace| namespace.path().join(id).join("config.json"));
    bundles.find_map(|bundle| text(&json(&bundle)?["annotations"]["io.kubernetes.cri.image-name"]))
}

/// The storage that Podman and CRI-O share.
fn storage(containers: &Path, id: &str) -> Option<String> {
    let own = |it: &&Value| it["id"] == id;
    let list = json(&containers.join("containers.json"))?;
    let metadata = text(&list.as_array()?.iter().find(own)?["metadata"])?;
    let metadata: Value = serde_json::from_str(&metadata).ok()?;
    text(&metadata["image-name"])
}

fn json(path: &PathBuf) -> Option<Value> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path.replace("ID", ID));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("ID", ID)).unwrap();
    }

    #[test]
    fn each_runtime_says_which_image_it_is() {
        let docker = (
            "var/lib/docker/containers/ID/config.v2.json",
            r#"{"ID":"ID","Config":{"Image":"postgres:16"}}"#,
            "/system.slice/docker-ID.scope",
            "postgres:16",
        );
        let kubernetes = (
            "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
            r#"{"annotations":{"io.kubernetes.cri.image-name":"quay.io/a/db:1"}}"#,
            "/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope",
            "quay.io/a/db:1",
        );
        let podman = (
            "var/lib/containers/storage/overlay-containers/containers.json",
            r#"[{"id":"x"},{"id":"ID","metadata":"{\"image-name\":\"docker.io/library/nginx:latest\"}"}]"#,
            "/machine.slice/libpod-ID.scope/container",
            "docker.io/library/nginx:latest",
        );
        for (file, says, cgroup, image) in [docker, kubernetes, podman] {
            let root = tempfile::tempdir().unwrap();
            let cgroup = cgroup.replace("ID", ID);
            assert_eq!(image_of(root.path(), &cgroup), None);
            put(root.path(), file, says);
            assert_eq!(image_of(root.path(), &cgroup).as_deref(), Some(image), "{file}");
            assert_eq!(image_of(root.path(), "/system.slice/ssh.service"), None);
            put(root.path(), file, "{\"ID\":");
            assert_eq!(image_of(root.path(), &cgroup), None, "cut off");
        }
    }

    #[test]
    fn only_whole_numbers_are_containers() {
        assert_eq!(id_of(&format!("/docker/{ID}")), Some(ID));
        assert_eq!(id_of(&format!("/docker/{ID}0")), None);
        assert_eq!(id_of(&format!("/docker/{}", ID.to_uppercase())), None);
        assert_eq!(id_of("/docker/../../etc"), None);
    }
}
