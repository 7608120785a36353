//! The routes. All of them need a session, apart from the sign-in and the assets.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::routing::{get, post};
use reporting::{Refused, access};
use webhooks::clock;

use crate::address::Address;
use crate::answer::complete;
use crate::language::{self, Language};
use crate::reader::Reader;
use crate::{Dashboard, assets, pages, session, sign_in};

pub(crate) fn router(dashboard: Dashboard) -> Router {
    let dashboard = Arc::new(dashboard);
    let behind = Router::new()
        .route("/dashboard", get(pages::overview::answer))
        .route("/dashboard/csv/{name}", get(pages::download::answer))
        .route("/dashboard/events", get(pages::events::answer))
        .route(pages::answers::PATH, get(pages::answers::answer))
        .route("/dashboard/search", get(pages::search::answer))
        .route("/dashboard/coupons/{*code}", get(pages::coupon::answer))
        .route("/dashboard/members/{*id}", get(pages::member::answer))
        .route("/dashboard/operations", get(pages::operations::answer))
        .fallback(pages::problem::unknown)
        .method_not_allowed_fallback(pages::problem::unknown)
        .layer(from_fn_with_state(Arc::clone(&dashboard), guard));
    Router::new()
        .route(
            "/dashboard/sign-in",
            get(sign_in::form).post(sign_in::sign_in),
        )
        .route("/dashboard/sign-out", post(sign_in::sign_out))
        .route("/dashboard/assets/{name}", get(assets::answer))
        .merge(behind)
        .layer(from_fn(switch))
        .layer(from_fn(complete))
        .with_state(dashboard)
}

/// Passes requests with a session on, and asks the others for a token.
async fn guard(
    State(dashboard): State<Arc<Dashboard>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let now = clock::now();
    let headers = request.headers();
    let language = Language::of(headers);
    let address = address(&request);
    let claim = session::cookie(headers, session::NAME);
    let Some(claim) = claim.and_then(|it| session::read(it, now)) else {
        return sign_in::ask(headers, &address);
    };
    let tokens = &dashboard.guarded.tokens;
    match access::scope_by_mac(tokens, &claim.message, &claim.mac).await {
        Ok(scope) => {
            request.extensions_mut().insert(Reader {
                scope,
                language,
                now,
                address,
            });
            next.run(request).await
        }
        Err(Refused::Unauthorised(_)) => sign_in::ask(headers, &address),
        Err(refused) => pages::problem::refused(language, &address, &refused),
    }
}

/// The parameter `language` sets the language of this answer and, by a cookie, of later answers. So
/// a link can switch the language, and an address can name one.
async fn switch(mut request: Request, next: Next) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default();
    let mut address = Address::read(request.uri().path(), query);
    let chosen = address.take(language::NAME);
    let Some(chosen) = chosen.as_deref().and_then(Language::of_tag) else {
        return next.run(request).await;
    };
    let cookie = session::kept(language::NAME, chosen.tag(), language::LASTS_S);
    // The new cookie comes first, because readers of cookies take the first one.
    let headers = request.headers_mut();
    let before = headers.remove(axum::http::header::COOKIE);
    let before = before.as_ref().and_then(|it| it.to_str().ok());
    let name = language::NAME;
    let cookies = format!("{name}={}; {}", chosen.tag(), before.unwrap_or_default());
    if let Ok(cookies) = cookies.try_into() {
        headers.insert(axum::http::header::COOKIE, cookies);
    }
    let mut response = next.run(request).await;
    sign_in::set(response.headers_mut(), cookie);
    response
}

/// The address of a request, without the parameter that [`switch`] has read.
fn address(request: &Request) -> Address {
    let query = request.uri().query().unwrap_or_default();
    let mut address = Address::read(request.uri().path(), query);
    address.take(language::NAME);
    address
}
