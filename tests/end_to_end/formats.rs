//! The forms of a body: which of Zupy's formats it has, and whether it is readable at all.

use crate::shop::{Webhook, ZUPY, in_a_shop, redeemed, used, v2};

/// Adds the same signature under the header of the other format.
fn signed_twice(webhook: Webhook) -> Webhook {
    let (other, signature) = other_signature(&webhook);
    webhook.header(other, &signature)
}

/// The signature, and the header of the other format.
fn other_signature(webhook: &Webhook) -> (&'static str, String) {
    let (name, signature) = webhook.signature().pop().unwrap();
    let other = match name {
        "X-Zupy-Signature" => "X-Webhook-Signature",
        _ => "X-Zupy-Signature",
    };
    (other, signature)
}

/// A gateway may rename or drop a header. The function would ignore the body as an unknown type of
/// the other format, and the provider would never send it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_in_its_own_format_under_the_other_header() {
    in_a_shop(async |shop| {
        for webhook in [
            redeemed("CP-1").to(ZUPY),
            redeemed("CP-2"),
            used("CP-2", "ord-1"),
            v2("reward.redeemed"),
            v2("coupon.used"),
        ] {
            let (other, signature) = other_signature(&webhook);
            let renamed = webhook.clone().header(other, &signature);
            assert_eq!(shop.post(renamed).await.word(), "200 accepted");
            assert_eq!(shop.send(webhook).await.word(), "200 duplicate");
        }
        // The header says what a body should have been that fits no format.
        let neither = used("CP-3", "ord-1").to(ZUPY);
        let neither = neither.body(br#"{"event":"coupon.used"}"#.to_vec());
        let (other, signature) = other_signature(&neither);
        let answer = shop.post(neither.header(other, &signature)).await;
        assert_eq!(answer.word(), "400 invalid_payload");
        let problems = answer.body["error"]["problems"].to_string();
        assert!(problems.contains("data.customer_id"), "{problems}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_both_signatures_are_genuine_the_body_decides() {
    in_a_shop(async |shop| {
        let v1 = redeemed("CP-1").to(ZUPY);
        assert_eq!(shop.send(signed_twice(v1)).await.word(), "200 accepted");
        for kind in ["reward.redeemed", "coupon.used", "customer.enrolled"] {
            let answer = shop.send(signed_twice(v2(kind))).await;
            assert_eq!(answer.word(), "200 accepted", "{kind}: {answer:?}");
            assert_eq!(shop.send(v2(kind)).await.word(), "200 duplicate", "{kind}");
        }
        // A forged header has no influence.
        let forged = format!("sha256={:064}", 0);
        let ours = v2("coupon.cancelled").header("X-Zupy-Signature", &forged);
        assert_eq!(shop.send(ours).await.word(), "200 accepted");
    })
    .await;
}

/// `{"event":"coupon.redeemed"}`, compressed by `gzip -n9`.
const COMPRESSED: &str = "1f8b0800000000000203ab564a2d4bcd2b51b2524ace2f2dc8cfd32b4a4d494dcd4d4d51aa05003a1736f21b000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_gets_an_answer_about_its_content_encoding() {
    in_a_shop(async |shop| {
        let digits = COMPRESSED.as_bytes().chunks(2);
        let digits = digits.map(|pair| std::str::from_utf8(pair).unwrap());
        let compressed: Vec<_> = digits
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect();
        let plain = redeemed("CP-1");
        let (name, of_plain) = plain.signature().pop().unwrap();
        let check = async |webhook: Webhook| {
            let answer = shop.post(webhook).await;
            assert_eq!(answer.word(), "415 unsupported_encoding");
            assert_eq!(answer.headers["accept-encoding"], "identity");
            let message = answer.body["error"]["message"].as_str().unwrap();
            assert!(message.contains("Content-Encoding"), "{message}");
        };
        for coding in [Some("gzip"), None] {
            let mut webhook = plain.clone().body(compressed.clone());
            if let Some(coding) = coding {
                webhook = webhook.header("Content-Encoding", coding);
            }
            // One signature covers the body before the compression, and the other covers the sent
            // bytes.
            check(webhook.clone().header(name, &of_plain)).await;
            let (_, of_compressed) = webhook.signature().pop().unwrap();
            check(webhook.clone().header(name, &of_compressed)).await;
            assert_eq!(shop.post(webhook).await.word(), "401 invalid_signature");
        }
        // The header alone does not make a compressed body.
        let claimed = plain.header("Content-Encoding", "gzip");
        let forged = claimed.clone().secret("another");
        assert_eq!(shop.send(forged).await.word(), "401 invalid_signature");
        assert_eq!(shop.send(claimed).await.word(), "200 accepted");
    })
    .await;
}
