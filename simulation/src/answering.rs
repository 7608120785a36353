//! Members answer the surveys that they got. Forms come twice and at once, and the questionnaire
//! dies while it saves them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::sent::Detail;
use emulators::service::Service;
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use webhooks::survey::{Id, sign};
use webhooks::verify::Secrets;

use crate::history::Moment;
use crate::settle;
use crate::world::{SURVEY_SECRET, World};

/// What makes a seed of a story one for its answers.
const OWN: u64 = 0x5EED_0FA5_0E55;

/// The most members who answer.
const MEMBERS_MAX: usize = 20;

/// How often a member sends a form that got no answer.
const ATTEMPTS: usize = 8;

/// A form's contents: the rating, the recommendation and the comment, of which it may lack any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Form {
    rating: Option<u8>,
    recommend: Option<u8>,
    comment: Option<&'static str>,
}

impl Form {
    /// The answer after another form.
    fn then(&self, other: &Self) -> Self {
        Self {
            rating: other.rating.or(self.rating),
            recommend: other.recommend.or(self.recommend),
            comment: other.comment.or(self.comment),
        }
    }

    fn is_bad(&self) -> bool {
        let has_comment = self.comment.is_some_and(|it| !it.is_empty());
        self.rating.is_some_and(|it| it <= 2)
            || (self.recommend.is_some_and(|it| it <= 6) && has_comment)
    }
}

/// A member with a link.
struct Member {
    /// The use that the survey is about.
    event: String,
    token: String,
    forms: Vec<(Form, bool)>,
}

/// The questionnaire's answer to a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Kept,
    Closed,
    /// Every attempt was without an answer.
    None,
}

/// Lets most members answer, and returns every broken expectation.
pub(crate) async fn play(world: &Arc<World>, seed: u64) -> anyhow::Result<Vec<String>> {
    // Its own generator, so that the rest of a seed's story does not depend on answers.
    let random = &mut Rng::with_seed(seed ^ OWN);
    let members = members(world, random).await?;
    let began = world.history.moments().len();
    let lost = Fault::calls(
        Service::DynamoDb,
        "TransactWriteItems",
        CallMode::LoseResponse,
    );
    let lost = lost.by("questionnaire").at_rate(0.1);
    let lost = world.faults.add(lost.seeded(random.u64(..)));
    world.functions.kill(0.15);
    let mut answering = JoinSet::new();
    for member in members {
        let (world, delay) = (
            Arc::clone(world),
            Duration::from_millis(random.u64(0..2000)),
        );
        answering.spawn(async move {
            tokio::time::sleep(delay).await;
            let replies = answer(&world, &member).await;
            (member, replies)
        });
    }
    let answered = answering.join_all().await;
    world.functions.kill(0.0);
    world.faults.remove(lost);
    let mut broken = Vec::new();
    let mut is_settled = settle(world).await;
    while is_settled && world.redrive_killed().await > 0 {
        is_settled = settle(world).await;
    }
    if !is_settled {
        broken.push("the system does not settle after answers".to_owned());
    }
    let moments = world.history.moments();
    let of_surveys = |moment: &&(Timestamp, Moment)| match &moment.1 {
        Moment::Killed(process) => process.function == "surveys",
        _ => false,
    };
    let deaths = moments[began..].iter().filter(of_surveys).count();
    let rows = rows(world).await?;
    for (member, replies) in &answered {
        broken.extend(judge(world, &rows, member, replies, deaths));
    }
    broken.extend(counters(world, &rows).await?);
    Ok(broken)
}

/// Most members who got a survey, with the forms that they will send.
async fn members(world: &World, random: &mut Rng) -> anyhow::Result<Vec<Member>> {
    let secrets = Secrets::parse(SURVEY_SECRET).map_err(|it| anyhow::anyhow!("{it:?}"))?;
    let mut members = Vec::new();
    for (key, row) in rows(world).await? {
        let id = key
            .strip_prefix("survey#")
            .and_then(|it| it.strip_suffix("/survey"));
        let Some(id) = id.and_then(|it| hex::decode(it).ok()) else {
            continue;
        };
        if random.u32(0..5) == 0 || members.len() >= MEMBERS_MAX {
            continue;
        }
        let id = Id::try_from(id).map_err(|_| anyhow::anyhow!("{key} has an odd id"))?;
        let closes = Timestamp::from_second(row["ttl"].as_i64().unwrap_or_default())?;
        let mut forms = vec![rating(random)];
        if random.u32(0..3) > 0 {
            forms.push(Form {
                recommend: Some(random.u8(0..=10)),
                comment: random.choice(["", "Frio", "Voltarei"]),
                ..Form::default()
            });
        }
        if random.u32(0..4) == 0 {
            forms.push(rating(random));
        }
        members.push(Member {
            event: row["event"].as_str().unwrap_or_default().to_owned(),
            token: sign(&secrets, id, closes),
            // Some members tap twice.
            forms: forms
                .into_iter()
                .map(|it| (it, random.u32(0..4) == 0))
                .collect(),
        });
    }
    Ok(members)
}

fn rating(random: &mut Rng) -> Form {
    Form {
        rating: Some(random.u8(1..=5)),
        ..Form::default()
    }
}

/// Sends a member's forms one after another.
async fn answer(world: &World, member: &Member) -> Vec<Reply> {
    let mut replies = Vec::new();
    for (form, is_doubled) in &member.forms {
        let form = json!({
            "token": member.token, "rating": form.rating, "recommend": form.recommend,
            "comment": form.comment,
        });
        let reply = match is_doubled {
            true => {
                let both = tokio::join!(send(world, &form), send(world, &form));
                if both.0 == Reply::None {
                    both.1
                } else {
                    both.0
                }
            }
            false => send(world, &form).await,
        };
        replies.push(reply);
    }
    replies
}

/// Sends a form until the questionnaire answers.
async fn send(world: &World, form: &Value) -> Reply {
    for _ in 0..ATTEMPTS {
        let saved = world
            .functions
            .invoke("questionnaire", form.to_string())
            .await;
        let what = match &saved {
            Ok(reply) => reply.clone(),
            Err(error) => format!("{error:#}"),
        };
        world.history.remark(format!("{form}: {what}"));
        match saved.as_deref() {
            Ok("kept") => return Reply::Kept,
            Ok("closed") => return Reply::Closed,
            _ => tokio::time::sleep(Duration::from_secs(2)).await,
        }
    }
    Reply::None
}

/// What is wrong with a member's answer and its alert.
fn judge(
    world: &World,
    rows: &BTreeMap<String, Value>,
    member: &Member,
    replies: &[Reply],
    deaths: usize,
) -> Vec<String> {
    let mut broken = Vec::new();
    let event = &member.event;
    let record = rows.get(&format!("{event}/surveys/answer"));
    let is_cancelled = event
        .split_once('/')
        .is_some_and(|(coupon, _)| rows.contains_key(&format!("{coupon}/cancelled")));
    // The answer after each form.
    let mut answers = Vec::new();
    for (form, _) in &member.forms {
        let last = answers.last().cloned().unwrap_or_default();
        answers.push(Form::then(&last, form));
    }
    if is_cancelled {
        if record.is_some() || replies.contains(&Reply::Kept) {
            broken.push(format!("{event} is cancelled, and its survey is answered"));
        }
        return broken;
    }
    // Without an answer to a form, nobody knows whether the function saved it.
    if replies.iter().all(|it| *it == Reply::Kept) {
        let expected = answers.last().cloned().unwrap_or_default();
        let found = record.map(|row| Form {
            rating: row["rating"].as_u64().and_then(|it| u8::try_from(it).ok()),
            recommend: row["recommend"]
                .as_u64()
                .and_then(|it| u8::try_from(it).ok()),
            comment: expected
                .comment
                .filter(|it| row["comment"].as_str().unwrap_or_default() == *it),
        });
        if found.as_ref() != Some(&expected) {
            broken.push(format!(
                "{event} is answered {found:?}, and should be {expected:?}"
            ));
        }
    } else if replies.contains(&Reply::Closed) {
        broken.push(format!("the survey of {event} is closed"));
    } else {
        return broken;
    }
    let alerts = world
        .sent()
        .into_iter()
        .filter(|alert| match &alert.detail {
            Detail::Topic(topic) => {
                let attribute = |name: &str| topic.attributes.get(name).map(String::as_str);
                attribute("type") == Some("survey") && attribute("event") == Some(event)
            }
            _ => false,
        });
    let alerts = alerts.count();
    let least = usize::from(answers.last().is_some_and(Form::is_bad));
    let most = match answers.iter().any(Form::is_bad) {
        true => 1 + deaths,
        false => 0,
    };
    if !(least..=most).contains(&alerts) {
        let expected = format!("{least} to {most}");
        broken.push(format!(
            "{event} has {alerts} alerts of its answer, and should have {expected}"
        ));
    }
    let is_settled = rows.get(&format!("{event}/surveys/alert"));
    if (alerts > 0) != is_settled.is_some_and(|row| row["status"] == "done") {
        broken.push(format!(
            "{event} has {alerts} alerts, and the record {is_settled:?}"
        ));
    }
    broken
}

/// What is wrong with the counters of answers: they must be what the records say.
async fn counters(world: &World, rows: &BTreeMap<String, Value>) -> anyhow::Result<Vec<String>> {
    let tenant = |key: &str| key.split('#').take(2).collect::<Vec<_>>().join("#");
    let mut expected: BTreeMap<(String, char), i64> = BTreeMap::new();
    for (key, row) in rows
        .iter()
        .filter(|(key, _)| key.ends_with("/surveys/answer"))
    {
        let number = |name: &str| row[name].as_u64().and_then(|it| u8::try_from(it).ok());
        let rating = number("rating").map(|it| char::from(b'0' + it));
        let recommend = number("recommend").map(|it| char::from(b'A' + it));
        let comment = (row["has_comment"] == true).then_some('c');
        let fields = [Some('a'), rating, recommend, comment];
        for field in fields.into_iter().flatten() {
            *expected.entry((tenant(key), field)).or_default() += 1;
        }
    }
    let figures = world.items("figures").await?;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let groups = figures
        .iter()
        .filter(|row| text(row, "group").starts_with("[\"survey\""));
    let groups: Vec<_> = groups
        .map(|row| (tenant(&text(row, "part")), text(row, "entry")))
        .collect();
    let mut counted: BTreeMap<(String, char), i64> = BTreeMap::new();
    for row in &figures {
        let tenant = tenant(&text(row, "part"));
        for (name, value) in row.as_object().into_iter().flatten() {
            let (Some(field), Some(by)) = (name.chars().last(), value.as_i64()) else {
                continue;
            };
            let id = &name[..name.len() - field.len_utf8()];
            let is_group = groups
                .iter()
                .any(|(of, group)| *of == tenant && group == id);
            let is_answer = matches!(field, 'a' | 'c' | '1'..='5' | 'A'..='K');
            if is_group && is_answer && by != 0 {
                *counted.entry((tenant.clone(), field)).or_default() += by;
            }
        }
    }
    counted.retain(|_, count| *count != 0);
    Ok(match counted == expected {
        true => Vec::new(),
        false => vec![format!(
            "answers are counted as {counted:?}, and should be {expected:?}"
        )],
    })
}

/// The events table, by `coupon/entry`.
async fn rows(world: &World) -> anyhow::Result<BTreeMap<String, Value>> {
    let key = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", text("coupon"), text("entry"))
    };
    let rows = world.items("events").await?.into_iter();
    Ok(rows.map(|row| (key(&row), row)).collect())
}
