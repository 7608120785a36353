//! The style sheet and the icon. Their names contain a hash of their contents, so browsers may keep
//! them for a year.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("../assets/style.css");
const ICON: &str = include_str!("../assets/icon.svg");

const KEPT: &str = "public, max-age=31536000, immutable";

/// An asset's path, its type and its content.
pub(crate) struct Asset {
    pub(crate) path: String,
    content_type: &'static str,
    content: &'static str,
}

pub(crate) static STYLE_SHEET: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", STYLE));
pub(crate) static ICON_FILE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", ICON));

impl Asset {
    fn new(name: &str, end: &str, content_type: &'static str, content: &'static str) -> Self {
        let hash = hex::encode(&Sha256::digest(content)[..8]);
        Self {
            path: format!("/dashboard/assets/{name}-{hash}.{end}"),
            content_type,
            content,
        }
    }
}

/// The asset with this name; `None` if a newer one replaced it.
pub(crate) async fn answer(Path(name): Path<String>) -> Response<Body> {
    let assets = [&*STYLE_SHEET, &*ICON_FILE];
    let found = assets
        .into_iter()
        .find(|it| it.path.strip_prefix("/dashboard/assets/") == Some(&name));
    let Some(asset) = found else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = axum::http::StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(Body::from(asset.content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(KEPT));
    response
}
