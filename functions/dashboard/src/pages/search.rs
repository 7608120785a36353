//! `/dashboard/search`: leads to the page of a coupon, a member or a code.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use reporting::search::{Found, search};
use reporting::sources::whom;
use reporting::{Refused, Said, Sources};

use super::problem;
use super::records::{coupon_link, member_link};
use crate::address::Address;
use crate::frame::{Frame, Place};
use crate::reader::Reader;
use crate::words::records::Records;
use crate::written::Written;
use crate::{Dashboard, answer};

const QUERY: Said = Said::new(
    "must be a coupon's code, a member's id or a key",
    "deve ser o código de um cupom, o id de um membro ou uma chave",
);

#[derive(Template)]
#[template(path = "search.html")]
struct Page {
    frame: Frame,
    text: &'static Records,
    query: String,
    found: Vec<Link>,
}

struct Link {
    kind: &'static str,
    name: String,
    href: String,
    more: String,
}

pub(crate) async fn answer(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(reader): Extension<Reader>,
) -> Response<Body> {
    let text = Records::of(reader.language);
    let (query, found) = match find(&dashboard.guarded.sources, &reader).await {
        Ok(found) => found,
        Err(refused) => return problem::of_reader(&reader, &refused),
    };
    let links = found.iter().map(|it| Link::new(it, text, reader.written()));
    let found: Vec<_> = links.collect();
    if let [only] = found.as_slice() {
        return answer::see_other(&only.href);
    }
    let page = Page {
        frame: Frame::new(&reader, Place::Events, text.search),
        text,
        query,
        found,
    };
    answer::page(StatusCode::OK, &page)
}

async fn find(sources: &Sources, reader: &Reader) -> Result<(String, Vec<Found>), Refused> {
    let mut parameters = reader.parameters();
    let query = parameters.text("q", &QUERY).unwrap_or_default();
    if query.is_empty() && !parameters.has("q") {
        parameters.problem("q", "", QUERY);
    }
    let (tenant, provider) = whom(&mut parameters, &reader.scope);
    parameters.finish()?;
    let named = (tenant.as_deref(), provider.as_deref());
    let found = search(sources, &query, named, &reader.scope, reader.now).await?;
    Ok((query, found))
}

impl Link {
    fn new(found: &Found, text: &'static Records, written: Written) -> Self {
        match found {
            Found::Coupon(key) => Self {
                kind: text.coupon,
                name: key.clone(),
                href: coupon_link(key),
                more: String::new(),
            },
            Found::Member { tenant, id } => Self {
                kind: text.member,
                name: id.clone(),
                href: member_link(&tenant.0, &tenant.1, id),
                more: tenant.1.clone(),
            },
            Found::Code(redeemed) => {
                let mut address = Address::new("/dashboard/events")
                    .with("provider", &redeemed.tenant.0)
                    .with("tenant", &redeemed.tenant.1)
                    .with("code", &redeemed.code);
                if let Some(period) = redeemed.period() {
                    address = address
                        .with("from", &period.from.to_string())
                        .with("to", &period.to.to_string());
                }
                let count = written.count(redeemed.count());
                Self {
                    kind: text.code,
                    name: redeemed.code.clone(),
                    href: address.to_string(),
                    more: text.of_code.replace("{}", &count),
                }
            }
        }
    }
}
