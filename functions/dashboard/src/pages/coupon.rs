//! `/dashboard/coupons/{code}`: a coupon's life, and the commands for it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use reporting::progress::State as Stage;
use reporting::sources::whom;
use reporting::{Refused, life};
use webhooks::event::unescape;
use webhooks::fraud::Severity;
use webhooks::life::{Life, Received, Record};

use super::problem;
use super::records::{Mark, coupon_state, kind_of, member_link, moment_of, task_name};
use super::results::said;
use crate::commands::{self, Why};
use crate::frame::{Frame, Place};
use crate::reader::Reader;
use crate::words::records::Records;
use crate::written::Written;
use crate::{Dashboard, answer};

#[derive(Template)]
#[template(path = "coupon.html")]
struct Page {
    frame: Frame,
    text: &'static Records,
    code: String,
    key: String,
    tenant: String,
    /// The id, and the page.
    member: Option<(String, String)>,
    state: Option<String>,
    expires: Option<String>,
    stock: Option<String>,
    commands: Vec<ToDo>,
    findings: Vec<FindingRow>,
    events: Vec<EventBlock>,
    conflicts: Vec<ConflictRow>,
}

/// The reader's words, and the language's way to write numbers and times.
type Wording = (&'static Records, Written);

/// Commands to paste, and why they help.
struct ToDo {
    why: &'static str,
    lines: String,
}

struct FindingRow {
    class: &'static str,
    severity: &'static str,
    kind: String,
    details: String,
    event: String,
}

struct EventBlock {
    kind: &'static str,
    detail: String,
    sandbox: bool,
    occurred_at: String,
    occurred: String,
    received_at: String,
    received: String,
    /// Fields, each with its problem.
    warnings: Vec<(String, String)>,
    note: &'static str,
    records: Vec<RecordRow>,
}

struct RecordRow {
    task: String,
    mark: Mark,
    attempts: String,
    result: String,
    finished: String,
}

struct ConflictRow {
    event: String,
    received: String,
    hash: String,
}

pub(crate) async fn answer(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(reader): Extension<Reader>,
    code: Result<Path<String>, PathRejection>,
) -> Response<Body> {
    let answered = match &code {
        Ok(Path(code)) => find(&dashboard, &reader, code).await,
        Err(_) => Err(Refused::Unreadable),
    };
    match answered {
        Ok(page) => answer::page(StatusCode::OK, &page),
        Err(refused) => problem::of_reader(&reader, &refused),
    }
}

async fn find(dashboard: &Dashboard, reader: &Reader, code: &str) -> Result<Page, Refused> {
    let sources = &dashboard.guarded.sources;
    let mut parameters = reader.parameters();
    let (tenant, provider) = whom(&mut parameters, &reader.scope);
    parameters.finish()?;
    let named = (tenant.as_deref(), provider.as_deref());
    let life = life::find(sources, code, named, &reader.scope, reader.now).await?;
    let tenant = tenant_of(&life);
    Ok(Page::new(
        reader,
        &life,
        tenant.clone(),
        sources.zones.of(&tenant),
    ))
}

fn tenant_of(life: &Life) -> String {
    let tenant = life.received.first().map(|it| it.tenant.clone());
    let tenant = tenant.filter(|it| !it.is_empty());
    tenant.unwrap_or_else(|| {
        life.coupon
            .split('#')
            .nth(1)
            .map(unescape)
            .unwrap_or_default()
    })
}

impl Page {
    fn new(reader: &Reader, life: &Life, tenant: String, zone: &TimeZone) -> Self {
        let text = Records::of(reader.language);
        let written = reader.written();
        let wording = (text, written);
        let first = life.received.first();
        let code = first
            .map(|event| event.code.clone())
            .filter(|code| !code.is_empty());
        let code = code.unwrap_or_else(|| {
            life.coupon
                .rsplit('#')
                .next()
                .map(unescape)
                .unwrap_or_default()
        });
        let account = life.account.as_ref();
        let state = account.and_then(|it| it.state.as_deref());
        let expires = account.and_then(|it| it.expires_at.as_deref());
        Self {
            frame: Frame::new(reader, Place::Elsewhere, format!("{} {code}", text.coupon)),
            text,
            key: life.coupon.clone(),
            member: first.map(|event| {
                let link = member_link(&event.provider, &event.tenant, &event.member);
                (event.member.clone(), link)
            }),
            tenant,
            state: state.map(|it| coupon_state(it, text).to_owned()),
            expires: expires.map(|it| moment_of(it, zone, written)),
            stock: stock(life, zone, wording),
            commands: to_do(life, reader.now, text),
            findings: findings(life, text),
            events: life
                .received
                .iter()
                .map(|it| EventBlock::new(life, it, zone, wording))
                .collect(),
            conflicts: life
                .conflicts
                .iter()
                .map(|conflict| ConflictRow {
                    event: conflict.event.clone(),
                    received: moment_of(&conflict.received_at, zone, written),
                    hash: conflict.hash.clone(),
                })
                .collect(),
            code,
        }
    }
}

/// The product that the coupon reserves, in words.
fn stock(life: &Life, zone: &TimeZone, (text, written): Wording) -> Option<String> {
    let reservation = life.reservation.as_ref()?;
    if let Some(released) = &reservation.released {
        let released = moment_of(released, zone, written);
        return Some(text.released_at.replace("{}", &released));
    }
    let quantity = reservation.quantity.as_deref().unwrap_or_default();
    let product = reservation.product.as_deref().unwrap_or_default();
    let until = reservation.until.as_deref().unwrap_or_default();
    let until = moment_of(until, zone, written);
    let what = format!("{quantity} × {product}");
    // A product's name may contain `{}`, which is no place to fill.
    let (before, after) = text.reserved_until.split_once("{}")?;
    Some(format!("{before}{what}{}", after.replace("{}", &until)))
}

/// The commands, grouped by their reason.
fn to_do(life: &Life, now: Timestamp, text: &Records) -> Vec<ToDo> {
    let mut all: Vec<ToDo> = Vec::new();
    for command in commands::of_coupon(life, now) {
        let why = match command.why {
            Why::Missing => text.why_missing,
            Why::Failed => text.why_failed,
            Why::GivenUp => text.why_given_up,
            Why::Conflict => text.why_conflict,
            Why::Flagged => text.clear_flag_note,
        };
        match all.last_mut() {
            Some(last) if last.why == why => {
                last.lines.push('\n');
                last.lines.push_str(&command.line);
            }
            _ => all.push(ToDo {
                why,
                lines: command.line,
            }),
        }
    }
    all
}

fn findings(life: &Life, text: &'static Records) -> Vec<FindingRow> {
    let findings = life.findings.iter().map(|found| {
        let finding = &found.finding;
        FindingRow {
            class: finding.severity.name(),
            severity: match finding.severity {
                Severity::Medium => text.medium,
                Severity::High => text.high,
                Severity::Critical => text.critical,
            },
            kind: finding.kind.clone(),
            details: finding.details.clone(),
            event: found.event.clone(),
        }
    });
    findings.collect()
}

impl EventBlock {
    fn new(life: &Life, event: &Received, zone: &TimeZone, (text, written): Wording) -> Self {
        let (kind, detail) = kind_of(&event.entry, text);
        let records = life.tasks.iter().filter(|it| it.event == event.event);
        let records = records.map(|it| RecordRow::new(it, zone, (text, written)));
        let missing = life.missing.iter().filter(|it| it.event == event.event);
        let missing = missing.map(|it| RecordRow::missing(&it.task, text));
        let warnings = event.warnings.iter();
        Self {
            kind,
            detail: unescape(detail),
            sandbox: event.sandbox,
            occurred: moment_of(&event.occurred_at, zone, written),
            occurred_at: event.occurred_at.clone(),
            received: moment_of(&event.received_at, zone, written),
            received_at: event.received_at.clone(),
            warnings: warnings
                .map(|warning| (warning.field.to_string(), warning.problem.to_string()))
                .collect(),
            note: match event.causes.as_deref() {
                _ if !event.undispatched.is_empty() => text.outbox_waits,
                None => text.unreadable_body,
                Some([]) => text.causes_none,
                Some(_) => "",
            },
            records: records.chain(missing).collect(),
        }
    }
}

impl RecordRow {
    fn new(record: &Record, zone: &TimeZone, (text, written): Wording) -> Self {
        let finished = record.finished_at.as_deref();
        Self {
            task: task_name(&record.task, text),
            mark: Mark::of(Stage::of(&record.status), text),
            attempts: record.attempts.map(|it| it.to_string()).unwrap_or_default(),
            result: said(
                record.result.as_deref().unwrap_or_default(),
                zone,
                (text, written),
            ),
            finished: match (finished, record.not_before) {
                (Some(at), _) => moment_of(at, zone, written),
                (None, Some(at)) => written.moment(at, zone),
                (None, None) => String::new(),
            },
        }
    }

    fn missing(task: &str, text: &Records) -> Self {
        Self {
            task: task_name(task, text),
            mark: Mark::of(Stage::Missing, text),
            attempts: String::new(),
            result: String::new(),
            finished: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use reporting::Scope;
    use webhooks::fraud::Finding;
    use webhooks::life::{Account, Conflict, Found, Missing, Reservation};

    use super::*;
    use crate::address::Address;
    use crate::language::Language;
    use crate::pages::readable::main;

    const COUPON: &str = "zupy#comp#CP-1";

    fn reader(language: Language) -> Reader {
        Reader {
            scope: Scope::all(),
            language,
            now: "2026-11-25T12:00:00Z".parse().unwrap(),
            address: Address::new("/dashboard/coupons/CP-1"),
        }
    }

    fn life() -> Life {
        let event = format!("{COUPON}/redeemed");
        Life {
            coupon: COUPON.into(),
            account: Some(Account {
                state: Some("active".into()),
                expires_at: Some("2026-12-24T03:00:00Z".into()),
            }),
            received: vec![Received {
                event: event.clone(),
                entry: "redeemed".into(),
                provider: "zupy".into(),
                tenant: "comp".into(),
                member: "<script>alert(1)</script>".into(),
                code: "CP-1".into(),
                occurred_at: "2026-11-25T11:00:00Z".into(),
                received_at: "2026-11-25T11:00:01Z".into(),
                causes: Some(vec!["delivery", "fraud"]),
                ..Received::default()
            }],
            tasks: vec![Record {
                event: event.clone(),
                task: "delivery/email".into(),
                status: "failed".into(),
                result: Some("Bounced".into()),
                attempts: Some(3),
                ..Record::default()
            }],
            missing: vec![Missing {
                event: event.clone(),
                task: "fraud".into(),
            }],
            findings: vec![Found {
                event: event.clone(),
                finding: Finding {
                    kind: "expired_usage".into(),
                    severity: Severity::Critical,
                    details: "of \u{202E}right-to-left".into(),
                    rule: "expired_usage".into(),
                },
            }],
            conflicts: vec![Conflict {
                event,
                hash: "0123".into(),
                received_at: "2026-11-25T11:30:00Z".into(),
                body: None,
            }],
            reservation: Some(Reservation {
                product: Some("Pizza {} \"1\"".into()),
                quantity: Some("1".into()),
                until: Some("2026-12-24T03:00:00Z".into()),
                released: None,
            }),
            ..Life::default()
        }
    }

    fn rendered(life: &Life, language: Language) -> String {
        let zone = TimeZone::get("America/Sao_Paulo").unwrap();
        let page = Page::new(&reader(language), life, tenant_of(life), &zone);
        page.render().unwrap()
    }

    #[test]
    fn a_life_is_shown_whole_with_what_can_be_done() {
        let html = rendered(&life(), Language::En);
        assert!(!html.contains("<script"), "{html}");
        assert_snapshot!(main(&html), @"
        Key | zupy#comp#CP-1
        Tenant | comp
        Member | &#60;script&#62;alert(1)&#60;/script&#62;
        Coupon now | active
        Expires | Dec 24, 2026, 12:00 AM
        Stock | 1 × Pizza {} &#34;1&#34; reserved until Dec 24, 2026, 12:00 AM
        What you can do
        A task left no record: its message waits in a queue, or is lost. This command sends it again:
        coupons replay &#39;zupy#comp#CP-1/redeemed&#39;
        Once you have fixed the cause, this command tries again:
        coupons replay &#39;zupy#comp#CP-1/redeemed&#39; --failed
        Another body contradicts the recorded one. This command shows both:
        coupons show &#39;zupy#comp#CP-1&#39; --body
        The commands act on this machine&#39;s system. For a stack on AWS, add --stack and its name.
        Findings
        critical | expired_usage | of U+202E right-to-left | zupy#comp#CP-1/redeemed
        Redeemed
        Occurred | Nov 25, 2026, 8:00 AM | , received | Nov 25, 2026, 8:00 AM
        Task | State | Attempts | Result | Finished
        Delivery: email | ✗ | failed | 3 | Bounced
        Fraud check | ? | no record
        Conflicts
        Another body contradicts the recorded one. The recorded one counts.
        zupy#comp#CP-1/redeemed | , received Nov 25, 2026, 8:30 AM, | 0123
        ");
        assert_snapshot!(main(&rendered(&life(), Language::PtBr)), @"
        Chave | zupy#comp#CP-1
        Empresa | comp
        Membro | &#60;script&#62;alert(1)&#60;/script&#62;
        Cupom agora | ativo
        Expira | 24/12/2026 00:00
        Estoque | 1 × Pizza {} &#34;1&#34; reservado até 24/12/2026 00:00
        O que pode ser feito
        Uma tarefa não deixou registro: a mensagem espera numa fila ou se perdeu. Isto a reenvia:
        coupons replay &#39;zupy#comp#CP-1/redeemed&#39;
        Depois de corrigir a causa, isto tenta de novo o que falhou:
        coupons replay &#39;zupy#comp#CP-1/redeemed&#39; --failed
        Outro corpo contradiz o registrado. Isto mostra os dois:
        coupons show &#39;zupy#comp#CP-1&#39; --body
        Os comandos agem no sistema desta máquina. Na AWS, acrescente --stack e o nome da stack.
        Suspeitas
        crítica | expired_usage | of U+202E right-to-left | zupy#comp#CP-1/redeemed
        Resgatado
        Ocorreu | 25/11/2026 08:00 | , recebido | 25/11/2026 08:00
        Tarefa | Situação | Tentativas | Resultado | Terminou
        Entrega: e-mail | ✗ | falhou | 3 | Bounced
        Antifraude | ? | sem registro
        Conflitos
        Outro corpo contradiz o registrado. Vale o registrado.
        zupy#comp#CP-1/redeemed | , recebido 25/11/2026 08:30, | 0123
        ");
    }

    #[test]
    fn a_life_without_anything_to_do_says_so_by_silence() {
        let mut life = life();
        life.tasks[0].status = "done".into();
        life.missing.clear();
        life.findings.clear();
        life.conflicts.clear();
        let html = rendered(&life, Language::En);
        assert_snapshot!(main(&html), @"
        Key | zupy#comp#CP-1
        Tenant | comp
        Member | &#60;script&#62;alert(1)&#60;/script&#62;
        Coupon now | active
        Expires | Dec 24, 2026, 12:00 AM
        Stock | 1 × Pizza {} &#34;1&#34; reserved until Dec 24, 2026, 12:00 AM
        Redeemed
        Occurred | Nov 25, 2026, 8:00 AM | , received | Nov 25, 2026, 8:00 AM
        Task | State | Attempts | Result | Finished
        Delivery: email | ✓ | done | 3 | Bounced
        ");
    }
}
