mod diagnostics;
mod files;
mod meaning;

use super::*;

/// Surroundings with an image store of one image and one profile.
pub struct Known;

impl Surroundings for Known {
    fn stored_images(&self) -> Vec<String> {
        vec!["stored".to_owned()]
    }

    fn check_profile(&self, reference: &str) -> Result<(), String> {
        match reference {
            "oltp.ks" => Ok(()),
            _ => Err(format!("cannot read profile {reference}: No such file")),
        }
    }
}

pub fn parse_text(text: &str) -> Result<Cluster, Diagnostics> {
    parse(Source::new("cluster.ron", text), &Known).map(|file| file.cluster)
}
