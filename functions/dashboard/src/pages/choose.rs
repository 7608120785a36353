//! The page that asks for one tenant where another page would be about too many.

use askama::Template;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use reporting::Named;

use crate::answer::page;
use crate::frame::{Frame, Place};
use crate::reader::Reader;

/// The most tenants in the list. Of more, the reader types the name.
const LISTED_MAX: usize = 100;

#[derive(Template)]
#[template(path = "choose.html")]
struct Page {
    frame: Frame,
    text: String,
    /// The page that needs the tenant.
    path: String,
    /// The parameters that stay.
    kept: Vec<(String, String)>,
    tenants: Vec<Choice>,
    more: Option<String>,
}

struct Choice {
    name: String,
    href: String,
}

/// Asks for one of these tenants, and leads to the same page of that tenant.
pub(crate) fn answer(reader: &Reader, place: Place, tenants: &[Named]) -> Response<Body> {
    page(StatusCode::OK, &Page::new(reader, place, tenants))
}

impl Page {
    fn new(reader: &Reader, place: Place, tenants: &[Named]) -> Self {
        let words = Frame::words_of(reader);
        let written = reader.written();
        let mut names: Vec<_> = tenants.iter().map(|(_, tenant)| tenant.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let count = |number: usize| written.count(u64::try_from(number).unwrap_or(u64::MAX));
        let rest = names.len().saturating_sub(LISTED_MAX);
        let here = reader.address.without(&["tenant", "cursor"]);
        let listed = names.iter().take(LISTED_MAX).map(|name| Choice {
            name: (*name).to_owned(),
            href: here.with("tenant", name).to_string(),
        });
        Self {
            frame: Frame::new(reader, place, words.choose),
            text: words.choose_text.replace("{}", &count(names.len())),
            path: here.path().to_owned(),
            kept: here.parameters().to_vec(),
            tenants: listed.collect(),
            more: (rest > 0).then(|| words.choose_more.replace("{}", &count(rest))),
        }
    }
}

#[cfg(test)]
mod tests {
    use reporting::Scope;

    use super::*;
    use crate::address::Address;
    use crate::language::Language;

    #[test]
    fn a_tenant_is_chosen_for_the_same_view() {
        let reader = Reader {
            scope: Scope::all(),
            language: Language::En,
            now: "2026-11-25T15:00:00Z".parse().unwrap(),
            address: Address::read("/dashboard/events", "type=used&tenant=&cursor=x"),
        };
        let tenants = (0..200).map(|it| ("zupy".to_owned(), format!("comp_{it:03}")));
        let page = Page::new(&reader, Place::Events, &tenants.collect::<Vec<_>>());
        let html = page.render().unwrap();
        assert!(html.contains("There are 200 tenants here"), "{html}");
        let href = "/dashboard/events?type=used&#38;tenant=comp_099\"";
        assert!(html.contains(href), "{html}");
        assert!(!html.contains("comp_100"), "{html}");
        assert!(html.contains("The list leaves out 100 more"), "{html}");
        let kept = "<input type=\"hidden\" name=\"type\" value=\"used\">";
        assert!(html.contains(kept), "{html}");
    }
}
