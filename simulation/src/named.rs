//! A message that names records repeats those, and nothing else: `coupons replay --failed` sends
//! such messages.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::history::Moment;
use crate::settle;
use crate::story::Story;
use crate::world::World;

/// The channels of a coupon's message, and the beginning of an alert's name.
const CHANNELS: [&str; 3] = ["/delivery/email", "/delivery/whatsapp", "/delivery/sms"];
const ALERT: &str = "/fraud/alert/";

/// Repeats one of several settled messages of a coupon by its name, while another one waits for a
/// message of its own.
pub(crate) async fn repeat_one(
    world: &World,
    story: &Story,
    random: &mut Rng,
) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    let rows = world.items("events").await?;
    let Some((named, other)) = choose(&rows, story, random) else {
        return Ok(broken);
    };
    let (event, record) = split(&named);
    let queue = record.split('/').next().unwrap_or_default();
    let Some(mut message) = message_to(world, queue, event) else {
        broken.push(format!("{event} was never sent to {queue}"));
        return Ok(broken);
    };
    for key in [&named, &other] {
        set_status(world, key, "released").await?;
    }
    let sent = world.sent().len();
    message["only"] = json!([record]);
    let send = json!({"QueueUrl": queue, "MessageBody": message.to_string()});
    let accepted = world.sqs.handle("SendMessage", &send).await;
    accepted.map_err(|error| anyhow::anyhow!(error.message))?;
    if !settle(world).await {
        broken.push(format!(
            "the system does not settle after {named} is repeated"
        ));
    }
    let after = world.items("events").await?;
    for (key, is_repeated) in [(&named, true), (&other, false)] {
        let row = after.iter().find(|row| key_of(row) == *key);
        let status = row.and_then(|row| row["status"].as_str());
        if (status != Some("released")) != is_repeated {
            broken.push(format!("{named} is repeated, and {key} is {status:?}"));
        }
    }
    // No message goes out for an ended coupon, or for a finding that does not stand.
    let again: Vec<_> = world.sent().split_off(sent);
    if again.len() > 1 || again.iter().any(|it| it.event.as_deref() != Some(event)) {
        let again = again
            .iter()
            .map(|message| (&message.channel, &message.event));
        broken.push(format!(
            "{named} is repeated by {:?}",
            again.collect::<Vec<_>>()
        ));
    }
    set_status(world, &other, "done").await?;
    Ok(broken)
}

/// Two settled messages of one coupon.
fn choose(rows: &[Value], story: &Story, random: &mut Rng) -> Option<(String, String)> {
    let mut of_coupons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["status"] == "done") {
        let key = key_of(row);
        let (event, record) = split(&key);
        if !story.events.iter().any(|it| it.key == event) {
            continue;
        }
        let coupon = event.split('/').next().unwrap_or_default();
        let record = format!("/{record}");
        let group = match record.starts_with(ALERT) {
            true => format!("{coupon} alerts"),
            false if CHANNELS.contains(&record.as_str()) => event.to_owned(),
            false => continue,
        };
        of_coupons.entry(group).or_default().push(key);
    }
    let groups: Vec<_> = of_coupons.into_values().filter(|it| it.len() > 1).collect();
    let mut group = random.choice(groups)?;
    // The rows of a scan have no fixed order.
    group.sort();
    random.shuffle(&mut group);
    group.pop().zip(group.pop())
}

/// The message of an event that `dispatch` sent to a task.
pub(crate) fn message_to(world: &World, queue: &str, event: &str) -> Option<Value> {
    let (coupon, entry) = event.split_once('/')?;
    let key = format!(
        r#""key":{{"coupon":{},"entry":{}}}"#,
        json!(coupon),
        json!(entry)
    );
    let moments = world.history.moments().into_iter();
    let mut bodies = moments.flat_map(|(_, moment)| match moment {
        Moment::Performed { call, .. } if call.operation.ends_with("SendMessageBatch") => {
            let url = call.body["QueueUrl"].as_str().unwrap_or_default();
            let entries = call.body["Entries"].as_array().cloned();
            let entries = entries.filter(|_| url.ends_with(&format!("/{queue}")));
            entries.unwrap_or_default()
        }
        _ => Vec::new(),
    });
    bodies.find_map(|entry| {
        let body = entry["MessageBody"].as_str()?;
        body.contains(&key)
            .then(|| serde_json::from_str(body).ok())?
    })
}

async fn set_status(world: &World, key: &str, status: &str) -> anyhow::Result<()> {
    let (coupon, entry) = key.split_once('/').unwrap_or_default();
    let update = json!({
        "TableName": "events",
        "Key": {"coupon": {"S": coupon}, "entry": {"S": entry}},
        "UpdateExpression": "SET #status = :status REMOVE lease_until_ms, not_before_ms",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":status": {"S": status}},
    });
    world.ask("UpdateItem", update).await.map(|_| ())
}

fn key_of(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    format!("{}/{}", text("coupon"), text("entry"))
}

/// The event's key, and the record's name.
fn split(key: &str) -> (&str, &str) {
    let beneath = key.match_indices('/').nth(1);
    beneath.map_or((key, ""), |(index, _)| (&key[..index], &key[index + 1..]))
}
