//! The checks of the fuzz targets. Each function takes any bytes, and panics over a broken promise.
//!
//! The checks are a crate of their own. So the targets, which need a nightly toolchain, and the
//! ordinary tests, which replay the corpus, run the same code.

pub mod aghanim;
mod event;
pub mod json;
pub mod message;
mod provider;
pub mod request;
pub mod survey;
pub mod verify;
mod zupy;
pub mod zupy_v1;
pub mod zupy_v2;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    type Check = fn(&[u8]);

    /// Every fuzz target's name and its check.
    const TARGETS: [(&str, Check); 7] = [
        ("aghanim", aghanim::check),
        ("message", message::check),
        ("request", request::check),
        ("survey", survey::check),
        ("verify", verify::check),
        ("zupy-v1", zupy_v1::check),
        ("zupy-v2", zupy_v2::check),
    ];

    fn files_in(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(folder);
        let entries = fs::read_dir(&folder);
        let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let files = entries.map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).collect()
    }

    /// If a check panics, the last printed name is the input's.
    fn replay(check: Check, inputs: &[PathBuf]) {
        assert!(!inputs.is_empty());
        for input in inputs {
            println!("{}", input.display());
            check(&fs::read(input).unwrap());
        }
    }

    #[test]
    fn the_corpus_breaks_no_promise() {
        for (name, check) in TARGETS {
            println!("{name}");
            replay(check, &files_in(&format!("fuzz/corpus/{name}")));
        }
    }

    #[test]
    fn no_sample_breaks_a_promise() {
        for (_, check) in TARGETS {
            replay(check, &files_in("events"));
            replay(check, &files_in("events/samples"));
        }
    }
}
