//! What must hold of surveys: each use has at most one survey, or one reason against it, and the
//! figures say the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Judge;
use super::figures::without_shard;
use crate::story::Kind;

/// How often something happened, by tenant and word.
type Counts = BTreeMap<(String, String), i64>;

/// The channels of surveys.
const ASKED_BY: [&str; 2] = ["whatsapp", "email"];

/// The reasons for an unsent survey.
const REASONS: [&str; 9] = [
    "answered_recently",
    "asked_recently",
    "cancelled",
    "do_not_contact",
    "forgotten",
    "no_address",
    "not_delivered",
    "sandbox",
    "too_late",
];

/// Whether an event of this kind causes a survey.
pub(super) fn asks(kind: Kind) -> bool {
    kind == Kind::Used
}

impl Judge<'_> {
    /// Every accepted use must have a settled survey, and every member must get at most one: the
    /// pauses are longer than the trouble. `figures` are the rows of that table.
    pub(super) fn surveys(&mut self, figures: &[Value]) {
        let mut expected = Counts::new();
        let mut asked: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let events = self.story.events.iter().enumerate();
        let uses: Vec<_> = events
            .filter(|(_, it)| asks(it.kind) && !it.forged)
            .collect();
        for (index, event) in uses {
            let status = |record: &str| {
                let row = self.rows.get(&format!("{}/{record}", event.key))?;
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                Some((text("status"), text("result")))
            };
            let (planned, outcome) = (status("surveys"), status("surveys/ask"));
            if event.sandbox {
                let skipped = ("skipped".to_owned(), "sandbox".to_owned());
                let accepted = self.is_accepted(index);
                self.expect(!accepted || planned == Some(skipped), || {
                    format!("the survey of {}, a sandbox's, is {planned:?}", event.key)
                });
                self.expect(outcome.is_none(), || {
                    format!("{} is asked about", event.key)
                });
                continue;
            }
            let is_planned = planned.as_ref().is_some_and(|(status, _)| status == "done");
            self.expect(is_planned || !self.is_accepted(index), || {
                format!("the survey of {} is not scheduled: {planned:?}", event.key)
            });
            if !is_planned {
                self.expect(outcome.is_none(), || {
                    format!("{} is asked about, but not scheduled", event.key)
                });
                continue;
            }
            let tenant = tenant_of(&event.key);
            let mut count = |word: &str| {
                let counter = expected.entry((tenant.clone(), word.to_owned()));
                *counter.or_default() += 1;
            };
            count("scheduled");
            match &outcome {
                Some((status, _)) if status == "done" => {
                    count("sent");
                    if let Some((member, _)) = &event.account {
                        let of_member = asked.entry(member.clone()).or_default();
                        of_member.push(event.key.clone());
                    }
                }
                Some((_, reason)) if REASONS.contains(&reason.as_str()) => count(reason),
                other => self.broken.push(format!(
                    "the survey of {} is neither sent nor has it a reason: {other:?}",
                    event.key
                )),
            }
        }
        for (member, events) in asked {
            self.expect(events.len() == 1, || {
                format!("{member} is asked about {events:?}")
            });
        }
        let counted = counted(figures);
        self.expect(counted == expected, || {
            format!("surveys are counted as {counted:?}, and should be {expected:?}")
        });
    }

    /// Takes the surveys out of the sent messages, and judges how many each use has.
    pub(super) fn invitations(&mut self, sent: &mut BTreeMap<(String, &str), usize>) {
        for event in self.story.events.iter().filter(|it| asks(it.kind)) {
            let mut count = 0;
            for channel in ASKED_BY {
                let of_channel = sent.remove(&(event.key.clone(), channel));
                count += of_channel.unwrap_or_default();
            }
            let record = format!("{}/surveys/ask", event.key);
            let row = self.rows.get(&record);
            let is_sent = row.is_some_and(|row| row["status"] == "done");
            self.expect(!is_sent || count > 0, || {
                format!("{record} is done, but nothing was sent")
            });
            // A message without an answer may have gone out, although its record says otherwise.
            let most = usize::from(is_sent);
            if count > most {
                let explained: usize = ASKED_BY
                    .iter()
                    .map(|channel| self.explained_on(&event.key, &record, channel))
                    .sum();
                self.expect(count <= most + explained, || {
                    format!(
                        "{record} was sent {count} times, of which {explained} had a reason to be \
                         repeated"
                    )
                });
            }
        }
    }

    /// Whether the row keeps what a survey asked, for its link.
    pub(super) fn is_survey(&self, key: &str) -> bool {
        let event = self.rows.get(key).and_then(|row| row["event"].as_str());
        key.starts_with("survey#") && event.is_some_and(|event| self.rows.contains_key(event))
    }
}

fn tenant_of(key: &str) -> String {
    key.split('#').take(2).collect::<Vec<_>>().join("#")
}

/// What the table counts of surveys.
fn counted(rows: &[Value]) -> Counts {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let (part, group) = (text(row, "part"), text(row, "group"));
        if let Some(tenant) = part.strip_suffix("#names")
            && group.starts_with("[\"survey\"")
        {
            let ids = groups.entry(tenant.to_owned()).or_default();
            ids.push(text(row, "entry"));
        }
    }
    let mut counts = Counts::new();
    for row in rows {
        let (tenant, entry) = (tenant_of(&text(row, "part")), text(row, "entry"));
        for (attribute, value) in row.as_object().into_iter().flatten() {
            let Some(by) = value.as_i64() else { continue };
            let word = if without_shard(&entry).ends_with("#surveys_unsent") {
                let reason = attribute.strip_prefix('_');
                reason.and_then(|it| it.strip_suffix('c'))
            } else {
                let of = |field: char| {
                    let id = attribute.strip_suffix(field)?;
                    let ids = groups.get(&tenant)?;
                    ids.iter().any(|it| it == id).then_some(())
                };
                let scheduled = of('s').map(|()| "scheduled");
                scheduled.or_else(|| of('e').map(|()| "sent"))
            };
            if let Some(word) = word {
                *counts.entry((tenant.clone(), word.to_owned())).or_default() += by;
            }
        }
    }
    counts.retain(|_, count| *count != 0);
    counts
}
