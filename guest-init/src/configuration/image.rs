//! `/.partition/image.json`: what the image says about its partition.

use protocol::image::ImageConfig;
use protocol::{Configuration, Workload};

/// Reads the file's text.
///
/// # Errors
///
/// What serde_json says, with line and column.
pub fn parse(text: &[u8]) -> Result<ImageConfig, serde_json::Error> {
    serde_json::from_slice(text)
}

/// All workloads: the image's, each replaced by the configuration's of the same name, then the
/// configuration's others.
pub fn merge(image: &[Workload], configuration: &Configuration) -> Vec<Workload> {
    let mut workloads = image.to_vec();
    for workload in &configuration.workloads {
        match workloads.iter_mut().find(|existing| existing.name == workload.name) {
            Some(existing) => existing.clone_from(workload),
            None => workloads.push(workload.clone()),
        }
    }
    workloads
}

#[cfg(test)]
mod tests {
    use protocol::Restart;

    use super::*;

    #[test]
    fn an_image_says_what_to_run() {
        let image = parse(
            br#"{"modules": ["tun"], "env": [["LANG", "C"]], "workloads": [
                {"name": "db", "argv": ["postgres", "-D", "/data"], "user": "postgres",
                 "restart": {"OnFailure": {"max": 3}}},
                {"name": "once", "argv": ["true"]}]}"#,
        )
        .unwrap();
        assert_eq!(image.modules, ["tun"]);
        assert_eq!(image.workloads[0].restart, Restart::OnFailure { max: 3 });
        assert_eq!(image.workloads[1].restart, Restart::Never);
        assert_eq!(parse(b"{}").unwrap(), ImageConfig::default());
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        let error = parse(br#"{"module": []}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `module`"), "{error}");
    }

    #[test]
    fn the_cluster_file_replaces_and_adds() {
        let workload = |name: &str, argv: &str| Workload {
            name: name.into(),
            argv: vec![argv.into()],
            env: vec![],
            cwd: String::new(),
            user: String::new(),
            restart: Restart::Never,
        };
        let configuration = Configuration {
            workloads: vec![workload("b", "new"), workload("c", "c")],
            ..Configuration::default()
        };
        let merged = merge(&[workload("a", "a"), workload("b", "old")], &configuration);
        assert_eq!(merged, [workload("a", "a"), workload("b", "new"), workload("c", "c")]);
    }
}
