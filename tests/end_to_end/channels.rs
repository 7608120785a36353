//! Every channel as its recipient sees it, and coupons that a channel refuses or that wait for an
//! address.

mod reminders;
mod waiting;

use emulators::sent::{Detail, Sent, Sms, Whatsapp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::shop::{
    COMPANY, MEMBER, OWN_SECRET, Shop, Webhook, in_a_shop, in_a_shop_with, redeemed, reported,
    used, v2,
};

/// A time long after any test.
const NEXT_CENTURY: &str = "2126-01-01T00:00:00Z";
const LAST_YEAR: &str = "2025-09-26T14:20:00Z";

const EMAIL: &str = "redeemed/delivery/email";
const WHATSAPP: &str = "redeemed/delivery/whatsapp";
const SMS: &str = "redeemed/delivery/sms";

/// Secrets of two companies: one that both Zupy's formats name, and one with customers who read
/// English.
const TWO: (&str, &str) = (
    "ZupyWebhookSecrets",
    "comp_bella_vista=local-zupy-secret, comp_soho=soho-secret",
);

fn event(code: &str) -> String {
    format!("zupy#{COMPANY}#{code}/redeemed")
}

/// The messages that a channel sent for an event.
fn about(sent: &[Sent], event: &str) -> Vec<Sent> {
    let of_event = sent.iter().filter(|it| it.event.as_deref() == Some(event));
    of_event.cloned().collect()
}

fn whatsapp_of(sent: &Sent) -> &Whatsapp {
    match &sent.detail {
        Detail::Whatsapp(whatsapp) => whatsapp,
        other => panic!("{other:?}"),
    }
}

fn sms_of(sent: &Sent) -> &Sms {
    match &sent.detail {
        Detail::Sms(sms) => sms,
        other => panic!("{other:?}"),
    }
}

/// A redemption of a reward with this value.
fn worth(code: &str, value: impl Into<Value>) -> Webhook {
    redeemed(code).set("/discount_details/discount_value", value)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_follows_the_parameters() {
    let parameters = [
        TWO,
        ("Languages", "pt-BR, comp_soho=en"),
        ("MailReplyTo", "atendimento@example.com"),
        ("MailConfigurationSet", "coupons"),
        ("WhatsAppTemplate", "cupom_novo"),
        ("WhatsAppTemplateLanguage", "pt_PT"),
        ("SmsMinimumDiscountValue", "75.5"),
    ];
    in_a_shop_with(&parameters, async |shop| {
        let percentage = worth("CP-1", 75.50)
            .set("/discount_details/discount_type", "percentage")
            .set("/discount_details/maximum_discount", 75)
            .set("/discount_details/minimum_purchase", 30);
        shop.send(percentage).await;
        let english = redeemed("CP-2").set("/company_id", "comp_soho");
        shop.send(english.secret("soho-secret")).await;
        shop.settle().await;

        let mails = shop.mails();
        let ours = about(&mails, &event("CP-1")).remove(0);
        let Detail::Email(email) = &ours.detail else {
            panic!("{ours:?}")
        };
        assert_eq!(email.reply_to, ["atendimento@example.com"]);
        assert_eq!(email.configuration_set.as_deref(), Some("coupons"));
        let words = "75,5% de desconto até R$ 75,00, pedidos acima de R$ 30,00";
        assert!(ours.html.unwrap().contains(words));
        assert_snapshot!(ours.text.unwrap(), @"
        Olá, Maria! Seu cupom está pronto.

        Pizza Margherita Grátis
        75,5% de desconto até R$ 75,00, pedidos acima de R$ 30,00
        Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco

        Código: CP-1
        Apresente este código no caixa.
        Válido até 26/09/2125 às 11:20.

        Condições
        Válido apenas para consumo no local. Não pode ser combinado com outras promoções.

        --
        Você recebeu este e-mail porque um cupom foi emitido em seu nome.
        ");
        let theirs = about(&mails, "zupy#comp_soho#CP-2/redeemed").remove(0);
        assert_eq!(
            theirs.subject.unwrap(),
            "Your coupon: Pizza Margherita Grátis"
        );
        assert_snapshot!(theirs.text.unwrap(), @"
        Hello, Maria! Your coupon is ready.

        Pizza Margherita Grátis
        Free
        Pizza Margherita tradicional completa com molho de tomate, mussarela e manjericão fresco

        Code: CP-2
        Show this code when you pay.
        Valid until 26 September 2125, 11:20.

        Terms
        Válido apenas para consumo no local. Não pode ser combinado com outras promoções.

        --
        You got this e-mail because a coupon was issued in your name.
        ");

        let whatsapp = about(&shop.sent("whatsapp"), &event("CP-1")).remove(0);
        assert_eq!(whatsapp.to, "+5511965958122");
        let whatsapp = whatsapp_of(&whatsapp);
        assert_eq!(whatsapp.template.as_deref(), Some("cupom_novo"));
        assert_eq!(whatsapp.language.as_deref(), Some("pt_PT"));
        let parameters: Vec<_> = whatsapp.parameters.iter().map(|it| &*it.text).collect();
        assert_eq!(
            parameters,
            [
                "Maria Silva",
                "Pizza Margherita Grátis",
                "CP-1",
                "26/09/2125"
            ]
        );

        // The other company's reward is worth 35.
        let texts = shop.sent("sms");
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert_eq!(texts[0].event, Some(event("CP-1")));
        assert_eq!(sms_of(&texts[0]).kind, "Transactional");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_message_goes_out_for_a_reward_of_50_and_more() {
    in_a_shop(async |shop| {
        let long = "Rodízio de pizzas «ção» com bebida, sobremesa e café para a família inteira "
            .repeat(4);
        let stories = [
            ("below", worth("below", 49.99), false),
            ("at", worth("at", 50), true),
            ("at-as-text", worth("at-as-text", 50.000), true),
            ("above", worth("above", 1_000_000), true),
            ("nothing", worth("nothing", Value::Null), false),
            ("negative", worth("negative", -50), false),
            (
                "no-details",
                redeemed("no-details").unset("/discount_details"),
                false,
            ),
            (
                "unknown-type",
                worth("unknown-type", 50).set("/discount_details/discount_type", "moon_phase"),
                true,
            ),
            (
                "long",
                worth("long", 50).set("/coupon/reward_name", long),
                true,
            ),
            (
                "cyrillic",
                worth("cyrillic", 50).set("/customer/name", "Мария Ивановна Пономарёва"),
                true,
            ),
            (
                "emoji",
                worth("emoji", 50).set("/coupon/reward_name", "🍕".repeat(60)),
                true,
            ),
        ];
        for (code, webhook, _) in &stories {
            let answer = shop.send(webhook.clone()).await;
            assert_eq!(answer.word(), "200 accepted", "{code}: {answer:?}");
        }
        shop.settle().await;
        let texts = shop.sent("sms");
        for (code, _, is_sent) in stories {
            let sent = about(&texts, &event(code));
            assert_eq!(sent.len(), usize::from(is_sent), "{code}: {sent:?}");
            let expected = if is_sent { "done" } else { "no record" };
            assert_eq!(shop.record(code, SMS).await, expected, "{code}");
            for text in sent {
                let sms = sms_of(&text);
                assert_eq!(sms.parts, 1, "{text:?}");
                assert!(text.text.as_deref().unwrap().contains(code), "{text:?}");
                assert!(
                    text.text.as_deref().unwrap().contains("26/09/2125"),
                    "{text:?}"
                );
            }
        }
        assert_eq!(shop.mails().len(), 11);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impossible_number_fails_with_its_reason_and_stops_nothing_else() {
    const AREA: &str = "failed: a phone number without its area code";
    const OTHER: &str = "failed: a phone number with other characters than digits";
    const SEVERAL: &str = "failed: more than one phone number";
    const SHORT: &str = "failed: a phone number with too few digits for its country";
    const LONG: &str = "failed: a phone number with too many digits for its country";
    let stories = [
        ("local", "96595-8122", AREA),
        ("letters", "+55 11 96595-812a", OTHER),
        ("two", "+5511965958122,+5511965958123", SEVERAL),
        ("short", "+55", SHORT),
        ("long", "+5511965958122965958122", LONG),
        (
            "nowhere",
            "(20) 96595-8122",
            "failed: a phone number whose area code does not exist",
        ),
        (
            "service",
            "0800 123 4567",
            "failed: the phone number of a service, such as 0800, and of no person",
        ),
        ("written", " +55 (11) 96595-8122\n", "done"),
        ("without-country", "(11) 96595-8122", "done"),
        ("double-zero", "005511965958122", "done"),
        ("extension", "+55 11 96595 8122 ramal 3", "done"),
        ("arabic", "+٥٥١١٩٦٥٩٥٨١٢٢", "done"),
        ("old", "11 6595-8122", "done"),
        ("blank", " ", "waiting: no phone number"),
    ];
    in_a_shop(async |shop| {
        shop.expect_error("Cannot be delivered");
        for (code, number, _) in stories {
            shop.send(worth(code, 50).set("/customer/whatsapp", number))
                .await;
        }
        shop.settle().await;
        for (code, _, expected) in stories {
            for record in [WHATSAPP, SMS] {
                assert_eq!(shop.record(code, record).await, expected, "{code} {record}");
            }
            assert_eq!(shop.record(code, EMAIL).await, "done", "{code}");
        }
        assert_eq!(shop.mails().len(), stories.len());
        for channel in ["whatsapp", "sms"] {
            let sent = shop.sent(channel);
            let reached = stories.iter().filter(|(_, _, word)| *word == "done");
            assert_eq!(sent.len(), reached.count(), "{channel}: {sent:?}");
            for sent in sent {
                assert_eq!(sent.to, "+5511965958122");
            }
        }
        // The log has a word of our own, and not the number.
        for line in shop.system.logs("delivery") {
            assert!(!line.line.contains("96595"), "{line}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_slows_down_and_loses_and_doubles_nothing() {
    in_a_shop(async |shop| {
        for service in ["ses", "whatsapp", "sns"] {
            let throttle =
                json!({"service": service, "mode": "throttle", "rate": 0.5, "count": 8, "seed": 3});
            assert_eq!(shop.ask("POST", "/_local/faults", throttle).await.0, 201);
        }
        let codes: Vec<_> = (0..8).map(|number| format!("CP-{number}")).collect();
        for code in &codes {
            shop.send(worth(code, 60)).await;
        }
        shop.settle_retries().await;
        let (_, faults) = shop.ask("GET", "/_local/faults", Value::Null).await;
        for fault in faults.as_array().unwrap() {
            assert!(fault["applied"].as_u64().unwrap() > 0, "{fault}");
        }
        for channel in ["email", "whatsapp", "sms"] {
            let sent = shop.sent(channel);
            for code in &codes {
                assert_eq!(about(&sent, &event(code)).len(), 1, "{channel} of {code}");
                let record = format!("redeemed/delivery/{channel}");
                assert_eq!(shop.record(code, &record).await, "done");
            }
        }
    })
    .await;
}

/// The refusal of one channel marks only that channel's record.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_down_holds_up_no_other() {
    in_a_shop(async |shop| {
        let outage = json!({"service": "ses", "mode": "fail"});
        shop.ask("POST", "/_local/faults", outage).await;
        shop.send(worth("CP-1", 50)).await;
        shop.settle().await;
        assert_eq!(
            shop.record("CP-1", EMAIL).await,
            "released: InternalFailure"
        );
        assert_eq!(shop.record("CP-1", WHATSAPP).await, "done");
        assert_eq!(shop.record("CP-1", SMS).await, "done");
        shop.ask("DELETE", "/_local/faults", Value::Null).await;
        shop.settle_retries().await;
        assert_eq!(shop.record("CP-1", EMAIL).await, "done");
        for channel in ["email", "whatsapp", "sms"] {
            assert_eq!(shop.sent(channel).len(), 1, "{channel}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_not_set_up_leaves_no_record() {
    let off = [
        ("WhatsAppPhoneNumberId", ""),
        ("SmsMinimumDiscountValue", ""),
    ];
    in_a_shop_with(&off, async |shop| {
        shop.send(worth("CP-1", 500)).await;
        shop.settle().await;
        let entries = shop.ledger("CP-1").await.into_keys();
        let of_delivery: Vec<_> = entries.filter(|it| it.contains("/delivery/")).collect();
        assert_eq!(of_delivery, ["redeemed/delivery/account", EMAIL]);
        assert_eq!(shop.system.sent().len(), 1);
    })
    .await;
}

/// A task gets a test event of a restaurant directly, because no provider sends one.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_events_draft_is_kept_as_the_person_would_see_it() {
    in_a_shop(async |shop| {
        let sample = include_str!("../../events/delivery.json");
        let sample: Value = serde_json::from_str(sample).unwrap();
        let message = sample["Records"][0]["body"].as_str().unwrap();
        let mut message: Value = serde_json::from_str(message).unwrap();
        message["event"]["sandbox"] = true.into();
        let discount = &mut message["event"]["fact"]["redeemed"]["discount"];
        discount["value"] = "50".into();
        let send = json!({"QueueUrl": "delivery", "MessageBody": message.to_string()});
        shop.aws("AmazonSQS.SendMessage", &send).await;
        shop.settle().await;
        assert_eq!(shop.system.sent(), []);
        let (_, state) = shop.get("/_local/state").await;
        let state: Value = serde_json::from_str(&state).unwrap();
        let shown = state["messages"].as_array().unwrap();
        let of = |channel: &str| {
            let mut shown = shown.iter();
            shown
                .find(|it| it["channel"] == channel)
                .unwrap_or_else(|| panic!("{state}"))
        };
        assert_eq!(shown.len(), 3);
        assert!(shown.iter().all(|it| it["would_be"] == true));
        assert_eq!(of("email")["to"], "customer@example.com");
        assert!(of("email")["html"].as_str().unwrap().starts_with("<!"));
        assert_eq!(of("whatsapp")["whatsapp"]["language"], "pt_BR");
        assert!(of("sms")["text"].as_str().unwrap().contains("cupom"));
    })
    .await;
}
