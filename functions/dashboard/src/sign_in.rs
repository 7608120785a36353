//! The sign-in with a token, and the sign-out.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use lambda_http::RequestExt;
use lambda_http::request::RequestContext;
use reporting::{Refused, access};
use tokio::time::Instant;
use webhooks::clock;

use crate::Dashboard;
use crate::address::{Address, next};
use crate::answer::{page, see_other};
use crate::frame::Frame;
use crate::language::Language;
use crate::pages::problem;
use crate::session;
use crate::words::common::Common;

pub(crate) const PATH: &str = "/dashboard/sign-in";

/// The longest form, in bytes: a token of 1 KiB and an address, both escaped.
const FORM_MAX_BYTES: usize = 16 * 1024;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    frame: Frame,
    /// The failure, or the result.
    notice: Option<String>,
    is_wrong: bool,
    next: String,
}

/// The form.
pub(crate) async fn form(request: Request) -> Response<Body> {
    let language = Language::of(request.headers());
    let query = request.uri().query().unwrap_or_default();
    let mut address = Address::read(PATH, query);
    let words = Common::of(language);
    let is_out = address.take("signed-out").is_some();
    let notice = is_out.then(|| words.signed_out.to_owned());
    answer(language, &address, StatusCode::OK, notice, false)
}

/// Redirects a request without a session to the form.
pub(crate) fn ask(headers: &HeaderMap, address: &Address) -> Response<Body> {
    // Browsers do not send the cookie with a link on another site, but they send it with the same
    // link here.
    if is_from_elsewhere(headers) {
        let frame = Frame::of_stranger(Language::of(headers), address, "");
        let title = frame.words.going_on.to_owned();
        let frame = Frame { title, ..frame };
        let address = address.to_string();
        return page(StatusCode::OK, &GoingOn { frame, address });
    }
    see_other(
        &Address::new(PATH)
            .with("next", &address.to_string())
            .to_string(),
    )
}

#[derive(Template)]
#[template(path = "going_on.html")]
struct GoingOn {
    frame: Frame,
    address: String,
}

fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|it| it == "cross-site")
}

fn answer(
    language: Language,
    address: &Address,
    status: StatusCode,
    notice: Option<String>,
    is_wrong: bool,
) -> Response<Body> {
    let words = Common::of(language);
    let asked = address.parameters().iter().find(|(name, _)| name == "next");
    let asked = asked.map_or("", |(_, value)| value);
    let page_of = Page {
        frame: Frame::of_stranger(language, address, words.sign_in),
        notice,
        is_wrong,
        next: next(asked).to_owned(),
    };
    page(status, &page_of)
}

/// Signs in.
pub(crate) async fn sign_in(
    State(dashboard): State<Arc<Dashboard>>,
    request: Request,
) -> Response<Body> {
    let language = Language::of(request.headers());
    let words = Common::of(language);
    let source = source(&request);
    let is_own = is_own(request.headers());
    let Some(form) = read(request).await else {
        return problem::refused(language, &Address::new(PATH), &Refused::Unreadable);
    };
    let field = |name: &str| {
        let mut fields = form.iter();
        fields
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.trim())
    };
    let goes_on = next(field("next").unwrap_or_default());
    let address = Address::new(PATH).with("next", goes_on);
    let wrong = |status, notice: String| answer(language, &address, status, Some(notice), true);
    if !is_own {
        tracing::info!("A sign-in came from another site");
        return wrong(StatusCode::FORBIDDEN, words.other_site.to_owned());
    }
    if let Some(seconds) = dashboard.tries.wait_s(source, Instant::now()) {
        tracing::warn!("Too many wrong tokens from one address");
        let notice = words.too_many_tries.replace("{}", &seconds.to_string());
        let mut response = wrong(StatusCode::TOO_MANY_REQUESTS, notice);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
        return response;
    }
    let token = field("token").unwrap_or_default();
    match access::scope(&dashboard.guarded.tokens, token).await {
        Ok(_) => {
            let mut response = see_other(goes_on);
            let cookie = session::set(&session::begin(token, clock::now()));
            set(response.headers_mut(), cookie);
            response
        }
        Err(Refused::Unauthorised(_)) => {
            tracing::info!("A sign-in with a wrong token");
            dashboard.tries.fail(source, Instant::now());
            wrong(StatusCode::FORBIDDEN, words.wrong_token.to_owned())
        }
        Err(refused) => problem::refused(language, &address, &refused),
    }
}

/// Signs out: the browser forgets the cookie.
pub(crate) async fn sign_out(request: Request) -> Response<Body> {
    if !is_own(request.headers()) {
        let language = Language::of(request.headers());
        let words = Common::of(language);
        let notice = Some(words.other_site.to_owned());
        return answer(
            language,
            &Address::new(PATH),
            StatusCode::FORBIDDEN,
            notice,
            true,
        );
    }
    let mut response = see_other("/dashboard/sign-in?signed-out");
    set(response.headers_mut(), session::clear());
    response
}

pub(crate) fn set(headers: &mut HeaderMap, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
}

/// Whether a form comes from a page of this site. Browsers send a header about it. A program
/// without that header has no other person's session to misuse.
fn is_own(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let origin = origin.to_str().ok().and_then(|it| it.split_once("://"));
    let host = headers.get(HOST).and_then(|it| it.to_str().ok());
    origin.is_some_and(|(_, own)| Some(own) == host)
}

/// The fields of a form; `None` if the body is no form, or is too long.
async fn read(request: Request) -> Option<Vec<(String, String)>> {
    let content_type = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = content_type.split(';').next()?.trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let body = to_bytes(request.into_body(), FORM_MAX_BYTES).await.ok()?;
    Some(form_urlencoded::parse(&body).into_owned().collect())
}

/// The address that a request came from, as the gateway names it.
fn source(request: &Request) -> IpAddr {
    let source = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref(),
        Some(RequestContext::ApiGatewayV1(context)) => context.identity.source_ip.as_deref(),
        _ => None,
    };
    let source = source.and_then(|it| it.parse().ok());
    source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_is_not_taken() {
        let check = |given: &[(&'static str, &'static str)], expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("coupons.example:3000"));
            for (name, value) in given {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_own(&headers), expected, "{given:?}");
        };
        check(&[], true);
        check(
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            true,
        );
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("origin", "https://coupons.example:3000")], true);
        check(&[("origin", "https://evil.example")], false);
        check(&[("origin", "https://coupons.example")], false);
        check(&[("origin", "null")], false);
    }
}
