//! `/dashboard/members/{id}`: a member's profile, coupons and flags.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use jiff::tz::TimeZone;
use reporting::account::{self, Account, Contact};
use reporting::amount::amount;
use reporting::sources::whom;
use reporting::{Problem, Refused, Said, Sources, member};
use webhooks::event::{escape, member_key, tenant_key};
use webhooks::figures::Profile;

use super::problem;
use super::records::{coupon_link, coupon_state};
use crate::commands;
use crate::frame::{Frame, Place};
use crate::reader::Reader;
use crate::words::records::Records;
use crate::written::Written;
use crate::{Dashboard, answer};

/// The most coupons that a page shows.
const COUPONS_MAX: usize = 100;

#[derive(Template)]
#[template(path = "member.html")]
struct Page {
    frame: Frame,
    text: &'static Records,
    id: String,
    tenant: String,
    /// Names and values.
    facts: Vec<(&'static str, String)>,
    masked: bool,
    flags: Vec<FlagRow>,
    /// The command that clears the flags, while one is open.
    clear: Option<String>,
    profile: Vec<(&'static str, String)>,
    coupons: Vec<CouponRow>,
    more_coupons: bool,
}

struct FlagRow {
    state: &'static str,
    kind: String,
    why: String,
    event: String,
    href: String,
    time: String,
}

struct CouponRow {
    code: String,
    href: String,
    reward: String,
    state: String,
    redeemed: String,
    expires: String,
}

/// All rows about a member.
struct KnownMember {
    provider: String,
    tenant: String,
    id: String,
    account: Account,
    profile: Option<Profile>,
    is_masked: bool,
}

pub(crate) async fn answer(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(reader): Extension<Reader>,
    id: Result<Path<String>, PathRejection>,
) -> Response<Body> {
    let sources = &dashboard.guarded.sources;
    let answered = match id {
        Ok(Path(id)) => find(sources, &reader, id).await,
        Err(_) => Err(Refused::Unreadable),
    };
    match answered {
        Ok(known) => {
            let zone = sources.zones.of(&known.tenant);
            answer::page(StatusCode::OK, &Page::new(&reader, &known, zone))
        }
        Err(refused) => problem::of_reader(&reader, &refused),
    }
}

/// A member may have a contact and no figures, because analytics has counted no event of the
/// member.
async fn find(sources: &Sources, reader: &Reader, id: String) -> Result<KnownMember, Refused> {
    let mut parameters = reader.parameters();
    let (tenant, provider) = whom(&mut parameters, &reader.scope);
    parameters.finish()?;
    let tenants = sources
        .tenants(&reader.scope, tenant.as_deref(), provider.as_deref())
        .await?;
    let mut found = Vec::new();
    for (provider, tenant) in tenants {
        let is_masked = !reader.scope.shows_personal(&tenant);
        let named = (provider.as_str(), tenant.as_str());
        if member_key(&provider, &tenant, &id).len() > 2048 {
            continue;
        }
        let account = account::read(sources, named, &id, !is_masked, reader.now).await?;
        let profile = sources.figures.member(&provider, &tenant, &id).await?;
        if account.is_some() || profile.is_some() {
            found.push(KnownMember {
                account: account.unwrap_or_default(),
                profile,
                is_masked,
                id: id.clone(),
                provider,
                tenant,
            });
        }
    }
    let known = found.pop();
    if let Some(known) = known.as_ref().filter(|_| !found.is_empty()) {
        let names = found.iter().chain([known]);
        let names: Vec<_> = names.map(|it| it.tenant.as_str()).collect();
        let names = names.join(", ");
        let problem = Said::of(
            format!("must name one: these tenants know the member: {names}"),
            format!("deve indicar uma: o membro é conhecido de {names}"),
        );
        return Err(Refused::Invalid(vec![Problem::new("tenant", "", problem)]));
    }
    known.ok_or_else(|| Refused::not_found("such member", ", or this token may not read it"))
}

impl Page {
    fn new(reader: &Reader, known: &KnownMember, zone: &TimeZone) -> Self {
        let (text, written) = (Records::of(reader.language), reader.written());
        let account = &known.account;
        let (provider, tenant) = (&known.provider, &known.tenant);
        let moment =
            |at: Option<jiff::Timestamp>| at.map(|at| written.moment(at, zone)).unwrap_or_default();
        let flags = account.flags.iter().map(|flag| FlagRow {
            state: match flag.cleared_at {
                None => text.flag_open,
                Some(_) => text.flag_cleared,
            },
            kind: flag.kind.clone(),
            why: flag.why.clone(),
            event: flag.event.clone(),
            href: coupon_link(&flag.event),
            time: moment(flag.flagged_at),
        });
        let is_flagged = account.flags.iter().any(|it| it.cleared_at.is_none());
        let clear =
            is_flagged.then(|| commands::clear_flag(&member_key(provider, tenant, &known.id)).line);
        let coupons = account.coupons.iter().take(COUPONS_MAX).map(|coupon| {
            let event = coupon.event.as_deref().and_then(|it| it.split_once('/'));
            let key = match event {
                Some((key, _)) => key.to_owned(),
                None => format!("{}#{}", tenant_key(provider, tenant), escape(&coupon.code)),
            };
            let state = coupon.state.as_deref().unwrap_or_default();
            CouponRow {
                code: coupon.code.clone(),
                href: coupon_link(&key),
                reward: coupon.reward.clone().unwrap_or_default(),
                state: coupon_state(state, text).to_owned(),
                redeemed: moment(coupon.redeemed_at),
                expires: moment(coupon.expires_at),
            }
        });
        let has_contact = account.contact.is_some();
        Self {
            frame: Frame::new(
                reader,
                Place::Elsewhere,
                format!("{} {}", text.member, known.id),
            ),
            text,
            id: known.id.clone(),
            tenant: tenant.clone(),
            facts: facts(account.contact.as_ref(), text, |at| {
                written.moment(at, zone)
            }),
            masked: known.is_masked && has_contact,
            flags: flags.collect(),
            clear,
            profile: match &known.profile {
                None => Vec::new(),
                Some(profile) => shown(profile, reader, zone, text, written),
            },
            coupons: coupons.collect(),
            more_coupons: account.has_more_coupons || account.coupons.len() > COUPONS_MAX,
        }
    }
}

fn facts(
    contact: Option<&Contact>,
    text: &'static Records,
    moment: impl Fn(jiff::Timestamp) -> String,
) -> Vec<(&'static str, String)> {
    let Some(contact) = contact else {
        return vec![(text.contact, text.no_contact.to_owned())];
    };
    let rows = [
        (text.name, contact.name.clone()),
        (text.email, contact.email.clone()),
        (text.phone, contact.phone.clone()),
        (text.tier, contact.tier.clone()),
    ];
    let rows = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut facts: Vec<_> = rows.collect();
    if contact.do_not_contact {
        facts.push((text.contact, text.do_not_contact.to_owned()));
    }
    if let Some(at) = contact.forgotten_at {
        facts.push((text.forgotten, moment(at)));
    }
    facts
}

/// The profile, under the names of the provider's page.
fn shown(
    profile: &Profile,
    reader: &Reader,
    zone: &TimeZone,
    text: &'static Records,
    written: Written,
) -> Vec<(&'static str, String)> {
    let mut shown = vec![
        (text.redemptions, written.count(profile.redemptions)),
        (text.uses, written.count(profile.uses)),
        (text.points, written.count(profile.points)),
    ];
    for (currency, saved) in &profile.money_saved {
        shown.push((
            text.money_saved,
            written.money(&amount(*saved), Some(currency)),
        ));
    }
    let moments = [
        (text.first_redemption, profile.first_redemption),
        (text.last_redemption, profile.last_redemption),
    ];
    for (name, at) in moments {
        shown.extend(at.map(|at| (name, written.moment(at, zone))));
    }
    let preferred = member::preferred(profile).filter(|it| !it.is_empty());
    shown.extend(preferred.map(|it| (text.preferred, it.to_owned())));
    let frequency = member::frequency(profile, reader.now);
    shown.extend(frequency.map(|it| (text.frequency, written.number(&it))));
    shown
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use reporting::Scope;
    use reporting::account::{Coupon, Flag};

    use super::*;
    use crate::address::Address;
    use crate::language::Language;
    use crate::pages::readable::main;

    fn rendered(known: &KnownMember) -> String {
        let reader = Reader {
            scope: Scope::all(),
            language: Language::En,
            now: "2026-11-25T12:00:00Z".parse().unwrap(),
            address: Address::new("/dashboard/members/ZP-1"),
        };
        Page::new(&reader, known, &TimeZone::UTC).render().unwrap()
    }

    fn known(account: Account) -> KnownMember {
        KnownMember {
            provider: "zupy".into(),
            tenant: "comp".into(),
            id: "ZP-1".into(),
            account,
            profile: None,
            is_masked: true,
        }
    }

    #[test]
    fn an_open_flag_names_the_command_that_clears_it() {
        let flag = Flag {
            event: "zupy#comp#CP-1/used#1".into(),
            kind: "double_use".into(),
            why: "<b>twice</b>".into(),
            flagged_at: Some("2026-11-25T11:00:00Z".parse().unwrap()),
            cleared_at: None,
        };
        let coupon = Coupon {
            code: "CP/1".into(),
            event: Some("zupy#comp#CP%2F1/redeemed".into()),
            ..Coupon::default()
        };
        let mut member = known(Account {
            contact: Some(Contact {
                name: Some("M… S…".into()),
                do_not_contact: true,
                ..Contact::default()
            }),
            coupons: vec![coupon],
            flags: vec![flag],
            has_more_coupons: false,
        });
        let html = rendered(&member);
        assert_snapshot!(main(&html), @"
        Tenant | comp
        Name | M… S…
        Contact | Wants no messages
        This token may not see personal data: the page masks names and addresses.
        Flags
        open | double_use | &#60;b&#62;twice&#60;/b&#62; | zupy#comp#CP-1/used#1 | Nov 25, 2026, 11:00 AM
        After an investigation, this command clears the flags:
        coupons member &#39;zupy#comp#ZP-1&#39; --clear-flag
        The commands act on this machine&#39;s system. For a stack on AWS, add --stack and its name.
        Profile
        Analytics has counted no event of this member.
        Coupons
        Coupon | Reward | State | Redeemed | Expires
        CP/1
        ");
        let href = "/dashboard/coupons/zupy%23comp%23CP%252F1";
        assert!(html.contains(href), "{html}");
        member.account.flags[0].cleared_at = member.account.flags[0].flagged_at;
        assert!(!rendered(&member).contains("--clear-flag"));
    }

    #[test]
    fn a_member_of_whom_little_is_known_has_a_page() {
        let html = rendered(&known(Account::default()));
        assert_snapshot!(main(&html), @"
        Tenant | comp
        Contact | The member has no contact.
        Profile
        Analytics has counted no event of this member.
        Coupons
        The member has no coupon.
        ");
    }
}
