//! The stylesheet and the icon. Their names contain a hash of their contents, so a browser keeps
//! them for a year and still gets every new version.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A file that pages refer to.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content_type: &'static str,
    pub(crate) text: &'static str,
}

pub(crate) static STYLE: LazyLock<File> =
    LazyLock::new(|| file("css", "text/css; charset=utf-8", include_str!("style.css")));

pub(crate) static ICON: LazyLock<File> =
    LazyLock::new(|| file("svg", "image/svg+xml", include_str!("icon.svg")));

fn file(extension: &str, content_type: &'static str, text: &'static str) -> File {
    let hash = hex::encode(&Sha256::digest(text)[..8]);
    File {
        name: format!("survey-{hash}.{extension}"),
        content_type,
        text,
    }
}
