//! Surveys: a member gets one, some hours after the use and not at night, and each unsent survey
//! has its reason.

mod comments;

use std::time::Duration;

use emulators::faults::{CallMode, Fault, MessageMode, Moment};
use emulators::service::Service;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::figures::Figures;
use webhooks::figures::survey::SurveySums;

use crate::shop::{COMPANY, OWN_SECRET, Shop, Webhook, in_a_shop_with, redeemed, reported, used};
use crate::support::command;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Two hours, and the minute within which the scheduler sends.
const DUE: Duration = Duration::from_secs(2 * 3600 + 60);

/// No hour is quiet, because tests run at any hour.
const NO_NIGHT: (&str, &str) = ("SurveyQuietHours", "off");
const BY_MAIL: (&str, &str) = ("WhatsAppSurveyTemplate", "");
const NO_WHATSAPP: (&str, &str) = ("WhatsAppPhoneNumberId", "");

const RECORD: &str = "used#ord_1/surveys";
const ASK: &str = "used#ord_1/surveys/ask";

/// A member with a mail address of their own.
fn of_member(webhook: Webhook, member: &str) -> Webhook {
    webhook
        .set("/customer/member_id", member)
        .set("/customer/email", format!("{member}@example.com"))
}

/// A redemption, or a use, that happens now.
fn now(shop: &Shop, webhook: Webhook) -> Webhook {
    webhook.set("/timestamp", shop.system.now().to_string())
}

/// A member redeems a coupon and uses it now.
async fn visit(shop: &Shop, code: &str, member: &str) {
    let visit = [redeemed(code), used(code, "ord_1")];
    let visit = visit.map(|webhook| now(shop, of_member(webhook, member)));
    shop.send_in_turn(&visit).await;
}

/// Lets time pass, and waits for everything that becomes due in it.
async fn pass(shop: &Shop, time: Duration) {
    shop.system.advance(time).await.unwrap();
    // The scheduler sends due surveys in a loop of its own, which needs a moment.
    tokio::time::sleep(Duration::from_millis(300)).await;
    shop.settle().await;
}

/// The surveys that a member got by mail, each by its link's path.
fn asked(shop: &Shop, member: &str) -> Vec<String> {
    let address = format!("{member}@example.com");
    let mails = shop.mails().into_iter();
    let mails = mails.filter(|mail| mail.to == address);
    let text = |mail: emulators::sent::Sent| mail.text.unwrap_or_default();
    let links = mails.map(text).filter_map(|text| {
        let (_, link) = text.split_once("/surveys/")?;
        Some(link.split_whitespace().next().unwrap().to_owned())
    });
    links.collect()
}

/// The results of the surveys by the figures: the sums, and how many did not go out.
async fn figures(shop: &Shop) -> (SurveySums, u64) {
    let tables = [
        ("FIGURES_TABLE", "figures"),
        ("EVENTS_TABLE", "events"),
        ("MEMBERS_TABLE", "members"),
    ];
    let mut environment = Environment::of(tables);
    let aws = Aws::local(shop.system.aws_url());
    let figures = Figures::read(&mut environment, &aws, CallLimits::TASK);
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let (from, to) = (today - 1.day(), today + 60.days());
    let days = figures.days("zupy", COMPANY, from, to).await.unwrap();
    let mut sums = SurveySums::default();
    let mut unsent = 0;
    for day in days.values() {
        day.surveys.values().for_each(|group| sums.add(group));
        unsent += day.surveys_unsent.values().sum::<u64>();
    }
    (sums, unsent)
}

/// Checks that every scheduled survey went out or has its reason, and that the counters agree with
/// the records.
async fn check_figures(shop: &Shop, scheduled: u64, sent: u64) {
    let (sums, unsent) = figures(shop).await;
    assert_eq!((sums.scheduled, sums.sent), (scheduled, sent));
    assert_eq!(sums.scheduled, sums.sent + unsent);
    let verified = command(shop, &["analytics", "verify", "--json"]).await;
    assert_eq!(verified.json()["drift"], json!([]), "{}", verified.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_asked_once_two_hours_after_the_use() {
    in_a_shop_with(&[NO_NIGHT, BY_MAIL], async |shop| {
        let twice = || Fault::messages("surveys", MessageMode::Duplicate);
        shop.system.faults().add(twice());
        visit(shop, "CP-1", "ana").await;
        assert_eq!(shop.record("CP-1", RECORD).await, "done");
        assert_eq!(shop.system.schedules().len(), 1);
        let scheduled = shop.ledger("CP-1").await[RECORD].clone();
        assert_eq!(scheduled["type"], "coupon_satisfaction");
        let data: Value = serde_json::from_str(scheduled["data"].as_str().unwrap()).unwrap();
        assert_eq!(data["coupon_code"], "CP-1");
        assert_eq!(data["location"], "Loja Centro");
        assert_eq!(data["staff_member"], "Ana Costa");
        assert_eq!(data["discount_value"]["amount"], "35");

        pass(shop, DUE - 10 * MINUTE).await;
        assert_eq!(asked(shop, "ana"), [""; 0]);
        pass(shop, 10 * MINUTE).await;
        assert_eq!(asked(shop, "ana").len(), 1);
        assert_eq!(shop.record("CP-1", ASK).await, "done");
        assert_eq!(shop.system.schedules().len(), 0);

        // A repeated use schedules nothing after its survey.
        let at = shop.ledger("CP-1").await["used#ord_1"]["occurred_at"].clone();
        let again = of_member(used("CP-1", "ord_1"), "ana").set("/timestamp", at);
        assert_eq!(shop.send(again).await.word(), "200 duplicate");
        let replayed = command(shop, &["replay", "CP-1", "--force", "--task", "surveys"]).await;
        assert!(replayed.out.contains("one survey"), "{}", replayed.out);
        shop.settle().await;
        assert_eq!(shop.system.schedules().len(), 0);
        pass(shop, 24 * HOUR).await;
        assert_eq!(asked(shop, "ana").len(), 1);
        check_figures(shop, 1, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_channel_is_whatsapp_and_never_an_sms() {
    in_a_shop_with(&[NO_NIGHT], async |shop| {
        visit(shop, "CP-1", "ana").await;
        let before = shop.sent_to_people().len();
        pass(shop, DUE).await;
        let sent = shop.sent_to_people();
        let [survey] = &sent[before..] else {
            panic!("{sent:?}");
        };
        assert_eq!(survey.channel, "whatsapp");
        let shown = json!(survey.detail);
        assert!(
            shown.to_string().contains("coupon_survey_whatsapp"),
            "{shown}"
        );
        assert!(shown.to_string().contains("/surveys/"), "{shown}");
        check_figures(shop, 1, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_in_the_quiet_hours() {
    let at = |hours: i64| Timestamp::now() + hours.hours();
    let clock = |at: Timestamp| at.strftime("%H:%M").to_string();
    let quiet = format!("{}-{}", clock(at(1)), clock(at(5)));
    let parameters = [
        ("SurveyQuietHours", quiet.as_str()),
        ("TimeZone", "UTC"),
        BY_MAIL,
    ];
    in_a_shop_with(&parameters, async |shop| {
        visit(shop, "CP-1", "ana").await;
        pass(shop, 4 * HOUR + 50 * MINUTE).await;
        assert_eq!(asked(shop, "ana"), [""; 0]);
        assert_eq!(shop.system.schedules().len(), 1);
        pass(shop, HOUR + 15 * MINUTE).await;
        assert_eq!(asked(shop, "ana").len(), 1);
    })
    .await;
}

/// The queue's message comes late, and it is night by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_survey_that_comes_late_waits_for_the_morning() {
    let at = |hours: i64| Timestamp::now() + hours.hours();
    let clock = |at: Timestamp| at.strftime("%H:%M").to_string();
    let quiet = format!("{}-{}", clock(at(3)), clock(at(6)));
    let parameters = [
        ("SurveyQuietHours", quiet.as_str()),
        ("TimeZone", "UTC"),
        BY_MAIL,
    ];
    in_a_shop_with(&parameters, async |shop| {
        visit(shop, "CP-1", "ana").await;
        let outage = Fault::service(Service::DynamoDb, CallMode::Fail).by("surveys");
        shop.system.faults().add(outage);
        pass(shop, DUE).await;
        shop.system.faults().clear();
        pass(shop, 2 * HOUR).await;
        assert_eq!(asked(shop, "ana"), [""; 0]);
        assert_eq!(shop.system.schedules().len(), 1);
        pass(shop, 3 * HOUR + 10 * MINUTE).await;
        assert_eq!(asked(shop, "ana").len(), 1);
        check_figures(shop, 1, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_survey_that_is_not_sent_has_its_reason() {
    let parameters = [NO_NIGHT, BY_MAIL, OWN_SECRET];
    in_a_shop_with(&parameters, async |shop| {
        for (code, member) in [
            ("asked", "ana"),
            ("again", "ana"),
            ("opted-out", "bia"),
            ("erased", "caio"),
            ("cancelled", "dora"),
        ] {
            visit(shop, code, member).await;
        }
        // No event states an address of this member.
        let unknown = [redeemed("nobody"), used("nobody", "ord_1")].map(|webhook| {
            let webhook = webhook.set("/customer/member_id", "eva");
            now(
                shop,
                webhook
                    .set("/customer/email", "n/a")
                    .set("/customer/whatsapp", "n/a"),
            )
        });
        shop.send_in_turn(&unknown).await;
        let key = |member: &str| format!("zupy#{COMPANY}#{member}");
        command(shop, &["member", &key("bia"), "--do-not-contact"]).await;
        command(shop, &["member", &key("caio"), "--forget"]).await;
        let cancelled = reported("coupon.cancelled", "cancelled").set("/data/customer_id", "dora");
        shop.send_in_turn(&[cancelled]).await;

        pass(shop, DUE).await;
        let mut of_ana = Vec::new();
        for code in ["asked", "again"] {
            of_ana.push(shop.record(code, ASK).await);
        }
        of_ana.sort();
        assert_eq!(of_ana, ["done", "skipped: asked_recently"]);
        assert_eq!(asked(shop, "ana").len(), 1);
        for (code, expected) in [
            ("opted-out", "skipped: do_not_contact"),
            ("erased", "skipped: forgotten"),
            ("cancelled", "skipped: cancelled"),
            ("nobody", "skipped: no_address"),
        ] {
            assert_eq!(shop.record(code, ASK).await, expected, "{code}");
        }
        for member in ["bia", "caio", "dora", "eva"] {
            assert_eq!(asked(shop, member), [""; 0], "{member}");
        }
        check_figures(shop, 6, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_did_not_answer_is_asked_again_after_the_pause() {
    in_a_shop_with(&[NO_NIGHT, BY_MAIL], async |shop| {
        visit(shop, "CP-1", "ana").await;
        pass(shop, DUE).await;
        pass(shop, 13 * 24 * HOUR).await;
        visit(shop, "CP-2", "ana").await;
        pass(shop, DUE).await;
        assert_eq!(shop.record("CP-2", ASK).await, "skipped: asked_recently");
        pass(shop, 24 * HOUR).await;
        visit(shop, "CP-3", "ana").await;
        pass(shop, DUE).await;
        assert_eq!(shop.record("CP-3", ASK).await, "done");
        assert_eq!(asked(shop, "ana").len(), 2);
        check_figures(shop, 3, 2).await;
    })
    .await;
}

/// From the use to the answer, by the link of the mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_answered_is_asked_again_after_thirty_days() {
    in_a_shop_with(&[NO_NIGHT, BY_MAIL], async |shop| {
        visit(shop, "CP-1", "ana").await;
        pass(shop, DUE).await;
        let links = asked(shop, "ana");
        let [link] = &links[..] else {
            panic!("{links:?}");
        };
        let page = format!("/surveys/{link}");
        let form = ("content-type", "application/x-www-form-urlencoded");
        let answered = shop.visit("POST", &page, &[form], "rating=5").await;
        assert_eq!(answered.status, 303, "{}", answered.text);

        pass(shop, 20 * 24 * HOUR).await;
        visit(shop, "CP-2", "ana").await;
        pass(shop, DUE).await;
        assert_eq!(shop.record("CP-2", ASK).await, "skipped: answered_recently");
        pass(shop, 10 * 24 * HOUR).await;
        visit(shop, "CP-3", "ana").await;
        pass(shop, DUE).await;
        assert_eq!(shop.record("CP-3", ASK).await, "done");
        let (sums, unsent) = figures(shop).await;
        assert_eq!((sums.scheduled, sums.sent, sums.answered), (3, 2, 1));
        assert_eq!(unsent, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_use_is_too_late() {
    in_a_shop_with(&[NO_NIGHT, BY_MAIL], async |shop| {
        let long_ago = (Timestamp::now() - (8 * 24).hours()).to_string();
        let visit = [redeemed("CP-1"), used("CP-1", "ord_1")];
        let visit = visit.map(|it| of_member(it, "ana").set("/timestamp", long_ago.as_str()));
        shop.send_in_turn(&visit).await;
        pass(shop, 2 * MINUTE).await;
        assert_eq!(shop.record("CP-1", ASK).await, "skipped: too_late");
        assert_eq!(asked(shop, "ana"), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_no_channel_takes_leaves_the_member_to_the_next_use() {
    in_a_shop_with(&[NO_NIGHT, BY_MAIL, NO_WHATSAPP], async |shop| {
        shop.expect_error("Cannot be");
        let wrong = |webhook: Webhook| {
            let webhook = of_member(webhook, "ana");
            now(
                shop,
                webhook.set("/customer/email", "ana@example.com, bia@example.com"),
            )
        };
        let visits = [wrong(redeemed("CP-1")), wrong(used("CP-1", "ord_1"))];
        shop.send_in_turn(&visits).await;
        pass(shop, DUE).await;
        assert_eq!(shop.record("CP-1", ASK).await, "failed: not_delivered");

        visit(shop, "CP-2", "ana").await;
        pass(shop, DUE).await;
        assert_eq!(shop.record("CP-2", ASK).await, "done");
        check_figures(shop, 2, 1).await;
        // A counted survey does not go out again.
        let replayed = command(shop, &["replay", "CP-1", "--failed", "--task", "surveys"]).await;
        assert!(replayed.out.contains("one survey"), "{}", replayed.out);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_down_is_tried_again() {
    in_a_shop_with(&[NO_NIGHT, BY_MAIL], async |shop| {
        visit(shop, "CP-1", "ana").await;
        let down = Fault::service(Service::Ses, CallMode::Throttle).by("surveys");
        shop.system.faults().add(down);
        pass(shop, DUE).await;
        let record = shop.record("CP-1", ASK).await;
        assert!(record.starts_with("released: "), "{record}");
        shop.system.faults().clear();
        shop.settle_retries().await;
        assert_eq!(shop.record("CP-1", ASK).await, "done");
        assert_eq!(asked(shop, "ana").len(), 1);
        check_figures(shop, 1, 1).await;
    })
    .await;
}

/// Kills the function at each of its calls in turn, while it schedules and while it asks.
#[tokio::test(flavor = "multi_thread")]
async fn however_the_function_dies_a_survey_is_counted_once() {
    const CALLS: u32 = 16;
    // All surveys have their schedule before the first is due.
    let late = ("SurveyDelayS", "36000");
    in_a_shop_with(&[NO_NIGHT, BY_MAIL, late], async |shop| {
        for call in 1..=CALLS {
            let dies = Fault::kill("surveys", Moment::AfterCall(call)).once();
            shop.system.faults().add(dies);
            visit(shop, &format!("CP-{call}"), &format!("member-{call}")).await;
            pass(shop, 10 * MINUTE).await;
            // Another kill of the same message would make it a dead letter.
            shop.system.faults().clear();
            pass(shop, 10 * MINUTE).await;
        }
        pass(shop, 10 * HOUR - CALLS * 20 * MINUTE - 5 * MINUTE).await;
        for call in 1..=CALLS {
            let dies = Fault::kill("surveys", Moment::AfterCall(call)).once();
            shop.system.faults().add(dies);
            pass(shop, 10 * MINUTE).await;
            shop.system.faults().clear();
            pass(shop, 10 * MINUTE).await;
        }
        for _ in 0..3 {
            pass(shop, 10 * MINUTE).await;
        }
        let invocations = shop.system.invocations().into_iter();
        let died = invocations
            .filter(|invocation| invocation.function == "surveys" && invocation.error.is_some());
        assert!(
            died.count() >= 12,
            "the function makes fewer calls than that"
        );
        let mut letters = 0;
        for call in 1..=CALLS {
            let code = format!("CP-{call}");
            assert_eq!(shop.record(&code, RECORD).await, "done", "{code}");
            assert_eq!(shop.record(&code, ASK).await, "done", "{code}");
            // A process that dies after sending may send once more, with the same link.
            let mut links = asked(shop, &format!("member-{call}"));
            letters += links.len();
            links.dedup();
            assert_eq!(links.len(), 1, "{code}");
        }
        println!("{letters} mails for {CALLS} surveys");
        check_figures(shop, CALLS.into(), CALLS.into()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_scheduler_could_not_send_is_redriven() {
    in_a_shop_with(&[NO_NIGHT, BY_MAIL], async |shop| {
        visit(shop, "CP-1", "ana").await;
        let down = Fault::calls(Service::Sqs, "SendMessage", CallMode::Fail).by("scheduler");
        shop.system.faults().add(down);
        pass(shop, DUE).await;
        assert_eq!(asked(shop, "ana"), [""; 0]);
        pass(shop, 2 * HOUR).await;
        shop.system.faults().clear();
        pass(shop, HOUR).await;
        let dead = "surveys-schedule-dead-letter";
        assert_eq!(shop.system.queues()[dead].visible, 1);
        assert_eq!(asked(shop, "ana"), [""; 0]);

        let redriven = command(shop, &["redrive", "surveys-schedule"]).await;
        assert!(redriven.out.contains('1'), "{}", redriven.out);
        shop.settle_retries().await;
        assert_eq!(asked(shop, "ana").len(), 1);
        check_figures(shop, 1, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_use_is_asked_about_by_nobody() {
    in_a_shop_with(&[NO_NIGHT], async |shop| {
        let sample = include_str!("../../events/surveys.json");
        let sample: Value = serde_json::from_str(sample).unwrap();
        let body = sample["Records"][0]["body"].as_str().unwrap();
        let mut message: Value = serde_json::from_str(body).unwrap();
        message["event"]["sandbox"] = true.into();
        let send = json!({"QueueUrl": "surveys", "MessageBody": message.to_string()});
        shop.aws("AmazonSQS.SendMessage", &send).await;
        shop.settle().await;
        let record = shop.record("CP-A1B2C3D4", "used#ord_POS_789/surveys").await;
        assert_eq!(record, "skipped: sandbox");
        assert!(shop.system.schedules().is_empty());
        assert_eq!(figures(shop).await.0.scheduled, 0);
    })
    .await;
}
