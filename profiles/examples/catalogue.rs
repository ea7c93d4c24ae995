//! Makes `docs/catalogue.md` anew: `cargo run -p profiles --example catalogue`.

use std::error::Error;
use std::path::Path;

use profiles::catalogue::{Catalogue, document};

fn main() -> Result<(), Box<dyn Error>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/catalogue.md");
    std::fs::write(page, document(Catalogue::built_in()?))?;
    Ok(())
}
