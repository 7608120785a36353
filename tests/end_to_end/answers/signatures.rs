//! Which signatures are good, and in which forms a request reaches the function.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_is_wrong_in_any_way_is_refused_in_the_same_words() {
    in_a_shop(async |shop| {
        let signed = |webhook: &Webhook| webhook.signature().pop().unwrap().1;
        let genuine = signed(&redeemed("CP-1"));
        let mut bodies = Vec::new();
        for signature in [
            "",
            "sha256=",
            "sha256=test_signature",
            "sha256=abc",
            &genuine["sha256=".len()..],
            &genuine.replace("sha256", "sha1"),
            &format!("{genuine}00"),
            &genuine[..genuine.len() - 1],
            "sha256=ção",
            &signed(&redeemed("CP-1").secret("another")),
            &signed(&redeemed("CP-2")),
        ] {
            let webhook = redeemed("CP-1").header("X-Zupy-Signature", signature);
            let answer = shop.post(webhook).await;
            assert_eq!(answer.word(), REFUSED, "{signature}");
            bodies.push(answer.body);
        }
        bodies.push(shop.post(redeemed("CP-1")).await.body);
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        assert_eq!(shop.ledger("CP-1").await.len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_is_over_the_bytes_that_were_sent() {
    in_a_shop(async |shop| {
        let webhook = used("CP-1", "ord-1").body(
            include_str!("../../../events/samples/zupy-coupon-used.json").to_owned() + "\n  ",
        );
        let (name, signature) = webhook.signature().pop().unwrap();
        let respelled: Value = serde_json::from_slice(&webhook.body).unwrap();
        let respelled = webhook.clone().body(respelled.to_string());
        assert_eq!(
            shop.post(respelled.header(name, &signature)).await.word(),
            REFUSED
        );
        assert_eq!(
            shop.post(webhook.header(name, &signature)).await.word(),
            "200 accepted"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_may_come_in_any_case_and_twice() {
    in_a_shop(async |shop| {
        let webhook = redeemed("CP-1");
        let (name, signature) = webhook.signature().pop().unwrap();
        let upper = webhook.clone().header(&name.to_uppercase(), &signature);
        assert_eq!(shop.post(upper).await.word(), "200 accepted");
        let mut twice = webhook.clone().header(name, &signature);
        twice.headers.push((name.into(), signature.clone()));
        assert_eq!(shop.post(twice).await.word(), "200 duplicate");
        let hex = signature.strip_prefix("sha256=").unwrap().to_uppercase();
        let shouting = webhook.header(name, &format!("sha256={hex}"));
        assert_eq!(shop.post(shouting).await.word(), "200 duplicate");
        let odd = redeemed("CP-1").header("X-Odd", "não é \u{80}");
        assert_eq!(shop.send(odd).await.word(), "200 duplicate");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aghanims_timestamp_is_part_of_what_is_signed() {
    in_a_shop(async |shop| {
        let webhook = code_redeemed("key");
        let mut headers = webhook.signature();
        assert_eq!(headers[0].0, "X-Aghanim-Signature-Timestamp");
        for time in ["1725548451", "", "x", "99999999999999999999", "1e3"] {
            headers[0].1 = time.into();
            let mut webhook = webhook.clone();
            webhook.headers.extend(
                headers
                    .iter()
                    .map(|(name, value)| ((*name).into(), value.clone())),
            );
            assert_eq!(shop.post(webhook).await.word(), REFUSED, "{time}");
        }
        assert_eq!(shop.send(webhook).await.word(), "200 accepted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_secrets_are_valid_while_one_replaces_another() {
    let parameters = [("ZupyWebhookSecrets", " new-secret ,local-zupy-secret\n")];
    in_a_shop_with(&parameters, async |shop| {
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 accepted");
        let with_new = redeemed("CP-2").secret("new-secret");
        assert_eq!(shop.send(with_new).await.word(), "200 accepted");
        assert_eq!(
            shop.send(redeemed("CP-3").secret("old")).await.word(),
            REFUSED
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_from_long_ago_or_from_the_future_is_refused() {
    let parameters = [("MaxAgeS", "300"), ("MaxFutureS", "60")];
    in_a_shop_with(&parameters, async |shop| {
        let at = |offset_s: i64| Timestamp::now() + SignedDuration::from_secs(offset_s);
        let zupy = |offset_s| redeemed("CP-1").set("/timestamp", at(offset_s).to_string());
        for (offset_s, word) in [
            (-310, REFUSED),
            (90, REFUSED),
            (-250, "200 accepted"),
            (30, "200 duplicate"),
        ] {
            assert_eq!(shop.send(zupy(offset_s)).await.word(), word, "{offset_s}");
        }
        let aghanim = |offset_s| code_redeemed("key").signed_at(at(offset_s));
        for (offset_s, word) in [
            (-310, REFUSED),
            (90, REFUSED),
            (-250, "200 accepted"),
            (30, "200 duplicate"),
        ] {
            assert_eq!(
                shop.send(aghanim(offset_s)).await.word(),
                word,
                "{offset_s}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_reaches_the_function_as_base64_is_the_same_body() {
    in_a_shop(async |shop| {
        let binary = redeemed("CP-1").header("content-type", "application/octet-stream");
        assert_eq!(shop.send(binary).await.word(), "200 accepted");
        assert_eq!(shop.send(redeemed("CP-1")).await.word(), "200 duplicate");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_the_events_of_a_rest_api_and_refuses_what_it_cannot_decode() {
    in_a_shop(async |shop| {
        let webhook = redeemed("CP-1");
        let (name, signature) = webhook.signature().pop().unwrap();
        let body = String::from_utf8(webhook.body).unwrap();
        let rest = json!({
            "httpMethod": "POST",
            "headers": {name: signature},
            "multiValueHeaders": {name: [signature]},
            "body": body,
            "isBase64Encoded": false,
            "requestContext": {"httpMethod": "POST"},
        });
        assert_eq!(invoke(shop, &rest).await, (200, "accepted".into()));
        // `lambda_http` panics over it, inside the guard.
        shop.expect_error("panicked at");
        let mut undecodable = rest.clone();
        undecodable["body"] = json!("?");
        undecodable["isBase64Encoded"] = json!(true);
        assert_eq!(
            invoke(shop, &undecodable).await,
            (401, "invalid_signature".into())
        );
        for odd in [
            json!({}),
            json!(null),
            json!([]),
            json!({"headers": 7, "body": []}),
        ] {
            assert_eq!(
                invoke(shop, &odd).await,
                (401, "invalid_signature".into()),
                "{odd}"
            );
        }
    })
    .await;
}

/// Invokes `zupy-coupon-redeemed` without the gateway. Returns the status, and the word that
/// explains it.
async fn invoke(shop: &Shop, event: &Value) -> (u16, String) {
    let event = Event {
        payload: event.to_string().into(),
        ..Event::default()
    };
    let lambda = shop.system.lambda();
    let answer = lambda.invoke("zupy-coupon-redeemed", event).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let word = body["status"].as_str().or(body["error"]["code"].as_str());
    let status = answer["statusCode"].as_u64().unwrap();
    (status.try_into().unwrap(), word.unwrap().into())
}
