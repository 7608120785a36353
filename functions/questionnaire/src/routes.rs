//! The routes: a survey's page, which only reads; its form, which alone writes; and two files.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::routing::get;
use axum::{Extension, Router};
use lambda_http::Context;
use serving::Unserved;
use webhooks::invocation::Invocation;
use webhooks::survey::{Refusal, is_changeable};

use crate::form::{self, FORM_MAX_BYTES, MEDIA_TYPE, Step, number};
use crate::page::{self, Notice, notice};
use crate::save::Saved;
use crate::store::{Survey, SurveyStore};
use crate::style::{File, ICON, STYLE};

/// When a browser should try again after a 503, in seconds.
const RETRY_AFTER_S: &str = "5";

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

type Shared = State<Arc<SurveyStore>>;

pub(crate) fn router(store: SurveyStore) -> Router {
    Router::new()
        .route(
            &format!("/surveys/{}", STYLE.name),
            get(async || file(&STYLE)),
        )
        .route(
            &format!("/surveys/{}", ICON.name),
            get(async || file(&ICON)),
        )
        .route("/surveys/{token}", get(show).post(save))
        .fallback(async || noticed(Notice::Closed))
        .method_not_allowed_fallback(not_allowed)
        .with_state(Arc::new(store))
}

/// The page behind a link. The request writes nothing, because scanners of mails and chats open
/// links too.
async fn show(
    State(store): Shared,
    Extension(context): Extension<Context>,
    token: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let invocation = Invocation::of(&context);
    let survey = match open(&store, token, invocation).await {
        Ok(survey) => survey,
        Err(response) => return response,
    };
    let query = query.unwrap_or_default();
    let value = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let found = pairs.find(|(name, _)| name == wanted);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let step = Step::named(&value("step"));
    // Any other value preselects nothing.
    let preselected = number(&value("rating")).filter(|it| (1..=5).contains(it));
    page(
        StatusCode::OK,
        shown(&survey, step, preselected, invocation),
    )
}

fn shown(survey: &Survey, step: Step, chosen: Option<u8>, invocation: Invocation) -> String {
    let about = &survey.asked.about;
    let Some(answer) = &survey.answer else {
        return page::rating(about, chosen, false);
    };
    let may_change = is_changeable(answer, invocation.now());
    match step {
        Step::Thanks => page::thanks(about, may_change),
        _ if !may_change => page::settled(about),
        Step::Rest => page::rest(answer, false),
        Step::Rating => page::rating(about, chosen.or(Some(answer.rating)), false),
    }
}

/// Saves a form, and redirects to the next page, so that a reload sends no form again.
async fn save(
    State(store): Shared,
    Extension(context): Extension<Context>,
    token: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response<Body> {
    let invocation = Invocation::of(&context);
    let survey = match open(&store, token, invocation).await {
        Ok(survey) => survey,
        Err(response) => return response,
    };
    let (head, body) = request.into_parts();
    if !is_form(&head.headers) {
        let mut response = noticed(Notice::Unreadable);
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let Ok(body) = to_bytes(body, FORM_MAX_BYTES).await else {
        let mut response = noticed(Notice::Unreadable);
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return response;
    };
    let Ok(form) = form::read(&body) else {
        return noticed(Notice::Unreadable);
    };
    let step = form.step;
    match store.save(&survey, form.given, invocation).await {
        Ok(Saved::Kept) => {
            let next = match step {
                Step::Rating => "?step=rest",
                Step::Rest | Step::Thanks => "?step=thanks",
            };
            see_other(next)
        }
        Ok(Saved::Refused(survey, refusal)) => refused(&survey, refusal),
        Ok(Saved::Closed) => noticed(Notice::Closed),
        Err(error) => unavailable(&error),
    }
}

fn refused(survey: &Survey, refusal: Refusal) -> Response<Body> {
    let about = &survey.asked.about;
    match (refusal, &survey.answer) {
        (Refusal::Settled, _) => page(StatusCode::OK, page::settled(about)),
        (Refusal::NoRecommendation, Some(answer)) => {
            page(StatusCode::UNPROCESSABLE_ENTITY, page::rest(answer, true))
        }
        (Refusal::NoRating | Refusal::NoRecommendation, answer) => {
            let chosen = answer.as_ref().map(|it| it.rating);
            let text = page::rating(about, chosen, true);
            page(StatusCode::UNPROCESSABLE_ENTITY, text)
        }
    }
}

/// The survey that a token opens, or the page for a token that opens none.
async fn open(
    store: &SurveyStore,
    token: Result<Path<String>, PathRejection>,
    invocation: Invocation,
) -> Result<Survey, Response<Body>> {
    let now = invocation.now();
    // A path that is not UTF-8 counts as any other wrong token.
    let token = token.map(|Path(token)| token).unwrap_or_default();
    let id = match store.id(&token, now).await {
        Ok(Some(id)) => id,
        Ok(None) => return Err(noticed(Notice::Closed)),
        Err(undecided) => return Err(unavailable(&undecided.into())),
    };
    match store.survey(id, now).await {
        Ok(Some(survey)) => Ok(survey),
        Ok(None) => Err(noticed(Notice::Closed)),
        Err(error) => Err(unavailable(&error)),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let media_type = value.to_str().unwrap_or_default().split(';').next();
    media_type.is_some_and(|it| it.trim().eq_ignore_ascii_case(MEDIA_TYPE))
}

async fn not_allowed() -> Response<Body> {
    let mut response = noticed(Notice::Unreadable);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let methods = HeaderValue::from_static("GET, HEAD, POST");
    response.headers_mut().insert(ALLOW, methods);
    response
}

/// The page for a visitor without a survey to answer. The status reveals no more than the page.
pub(crate) fn noticed(which: Notice) -> Response<Body> {
    let status = match which {
        Notice::Closed => StatusCode::NOT_FOUND,
        Notice::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Notice::Unreadable => StatusCode::BAD_REQUEST,
    };
    page(status, notice(which))
}

/// The page if no route gave one.
pub(crate) fn unserved(unserved: Unserved) -> Response<Body> {
    match unserved {
        Unserved::Unreadable => noticed(Notice::Unreadable),
        other => unavailable(&other.into()),
    }
}

/// The page for a temporary failure. The log has the reason; neither names the token.
pub(crate) fn unavailable(error: &anyhow::Error) -> Response<Body> {
    tracing::error!("Not answered: {error:#}");
    let mut response = noticed(Notice::Unavailable);
    let seconds = HeaderValue::from_static(RETRY_AFTER_S);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// Redirects. The reference is relative, so it works below any path of the API.
fn see_other(reference: &'static str) -> Response<Body> {
    let mut response = page(StatusCode::SEE_OTHER, String::new());
    let reference = HeaderValue::from_static(reference);
    response.headers_mut().insert(LOCATION, reference);
    response
}

/// A page is for one moment and one reader, so no cache may keep it and no search engine index it.
fn page(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (ROBOTS, "noindex, nofollow"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn file(file: &'static File) -> Response<Body> {
    let mut response = Response::new(Body::from(file.text));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, file.content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_form_is_a_form() {
        let check = |values: &[&'static str], expected: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            assert_eq!(is_form(&headers), expected, "{values:?}");
        };
        check(&[MEDIA_TYPE], true);
        check(&["Application/X-WWW-Form-Urlencoded; charset=UTF-8"], true);
        check(&[], false);
        check(&["text/plain"], false);
        check(&["multipart/form-data; boundary=x"], false);
        check(&[MEDIA_TYPE, MEDIA_TYPE], false);
    }

    #[test]
    fn every_page_keeps_to_itself() {
        let pages = [
            noticed(Notice::Closed),
            unavailable(&anyhow::anyhow!("no answer")),
            see_other("?step=rest"),
        ];
        for response in pages {
            let header = |name| response.headers()[name].to_str().unwrap();
            assert_eq!(header("cache-control"), "no-store");
            assert_eq!(header("referrer-policy"), "no-referrer");
            assert_eq!(header("x-robots-tag"), "noindex, nofollow");
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("content-security-policy"), POLICY);
            assert!(!response.headers().contains_key("set-cookie"));
        }
    }
}
