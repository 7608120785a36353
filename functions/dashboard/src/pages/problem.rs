//! The pages for errors: an address with a mistake, a missing page, or a store that does not
//! answer.

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Response};
use reporting::refused::RETRY_AFTER_S;
use reporting::{Problem, Refused};
use serving::Unserved;

use crate::address::Address;
use crate::answer::{guard, page};
use crate::frame::{Frame, Place};
use crate::language::Language;
use crate::reader::Reader;

#[derive(Template)]
#[template(path = "problem.html")]
struct Page {
    frame: Frame,
    text: &'static str,
    problems: Vec<Mistake>,
    /// The link to try again.
    again: Option<String>,
}

/// A mistake in a parameter, in the reader's language.
struct Mistake {
    field: String,
    value: String,
    text: String,
}

impl Mistake {
    fn new(problem: &Problem, language: Language) -> Self {
        let text = match language {
            Language::En => &problem.problem,
            Language::PtBr => &problem.portuguese,
        };
        Self {
            field: problem.field.clone(),
            value: problem.value.clone(),
            text: text.clone(),
        }
    }
}

/// The page for a signed-in reader.
pub(crate) fn of_reader(reader: &Reader, refused: &Refused) -> Response<Body> {
    answer(
        Frame::new(reader, Place::Elsewhere, ""),
        &reader.address,
        refused,
    )
}

/// The page for a request with an unknown session.
pub(crate) fn refused(language: Language, address: &Address, refused: &Refused) -> Response<Body> {
    answer(Frame::of_stranger(language, address, ""), address, refused)
}

/// The page if no route gave one. Then the function knows nothing of the request.
pub(crate) fn unserved(unserved: Unserved) -> Response<Body> {
    let refusal = match unserved {
        Unserved::Unreadable => Refused::Unreadable,
        Unserved::TooLarge(bytes) => Refused::TooLarge(bytes),
        Unserved::Failed(error) => Refused::Unavailable(error),
    };
    let address = Address::new("/dashboard");
    let mut response = refused(Language::En, &address, &refusal);
    guard(response.headers_mut());
    response
}

/// The page for an address that no page has.
pub(crate) async fn unknown(Extension(reader): Extension<Reader>) -> Response<Body> {
    of_reader(&reader, &Refused::not_found("such page", ""))
}

fn answer(mut frame: Frame, address: &Address, refused: &Refused) -> Response<Body> {
    match refused {
        Refused::Unavailable(_) => tracing::error!("Not answered: {refused}"),
        _ => tracing::info!("Refused: {refused}"),
    }
    let words = frame.words;
    let (title, text) = match refused {
        Refused::Invalid(_) => (words.invalid, words.invalid_text),
        Refused::Unauthorised(_) => (words.sign_in, words.wrong_token),
        Refused::NotFound { .. } => (words.not_found, words.not_found_text),
        Refused::TooLarge(_) => (words.too_large, words.too_large_text),
        Refused::Unreadable => (words.unreadable, ""),
        Refused::Unavailable(_) => (words.unavailable, words.unavailable_text),
    };
    frame.title = title.to_owned();
    let is_passing = matches!(refused, Refused::Unavailable(_));
    let problems = match refused {
        Refused::Invalid(problems) => {
            let problems = problems.iter();
            problems
                .map(|it| Mistake::new(it, frame.language))
                .collect()
        }
        _ => Vec::new(),
    };
    let again = is_passing.then(|| address.to_string());
    let mut response = page(
        refused.status(),
        &Page {
            frame,
            text,
            problems,
            again,
        },
    );
    if is_passing {
        let after = HeaderValue::from_static(RETRY_AFTER_S);
        response.headers_mut().insert(RETRY_AFTER, after);
    }
    response
}
