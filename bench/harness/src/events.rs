//! Signed webhook events as API Gateway HTTP API (payload format 2.0) passes them to Lambda.
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

pub const SECRET: &str = "zupy-s-5f1c2a7be94d4e0f8a6b3c1d2e9f7a10";
/// The secret of the version before the last rotation, which the store still has.
pub const PREVIOUS_SECRET: &str = "zupy-s-0b7d6c5e4f3a29181716151413121110";
/// The table of peers with the keys `coupon` and `entry`.
pub const EVENTS_TABLE: &str = "events";

pub fn payload(run: u64, n: u64) -> Value {
    json!({
        "event": "coupon.redeemed",
        "timestamp": "2025-08-26T14:20:00Z",
        "company_id": "comp_bella_vista",
        "customer": {
            "member_id": format!("ZP-{:08X}", n.wrapping_mul(2654435761) as u32),
            "whatsapp": "+5511965958122",
            "email": "maria.silva@example.com",
            "name": "Maria Silva",
            "tier": "silver"
        },
        "coupon": {
            "coupon_code": format!("CP-{run:06X}{n:06X}"),
            "reward_id": "rw_pizza_margherita",
            "reward_name": "Pizza Margherita Grátis",
            "reward_description": "Pizza Margherita tradicional completa com molho de tomate, \
                                   mussarela e manjericão fresco",
            "points_spent": 1000,
            "new_balance": 350,
            "expires_at": "2025-09-26T14:20:00Z",
            "terms": "Válido apenas para consumo no local. Não pode ser combinado com outras \
                      promoções.",
            "redemption_method": "app"
        },
        "discount_details": {
            "discount_type": "product_free",
            "discount_value": 35.00,
            "maximum_discount": null,
            "minimum_purchase": 0
        }
    })
}

fn mac(text: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key length is valid");
    mac.update(text.as_bytes());
    mac.finalize()
        .into_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

pub fn sign(body: &str) -> String {
    format!("sha256={}", mac(body))
}

pub fn envelope(body: &str, signature: &str) -> Arc<[u8]> {
    let event = json!({
        "version": "2.0",
        "routeKey": "POST /webhooks/zupy",
        "rawPath": "/webhooks/zupy",
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "content-length": body.len().to_string(),
            "content-type": "application/json",
            "host": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
            "user-agent": "Zupy-Webhooks/1.0",
            "x-amzn-trace-id": "Root=1-68adc2a0-0c1f2f6a1f2b3c4d5e6f7a8b",
            "x-forwarded-for": "203.0.113.10",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            "x-zupy-signature": signature
        },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abcdef1234",
            "domainName": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
            "domainPrefix": "abcdef1234",
            "http": {
                "method": "POST",
                "path": "/webhooks/zupy",
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.10",
                "userAgent": "Zupy-Webhooks/1.0"
            },
            "requestId": "P8z9hj0uDoEEJtw=",
            "routeKey": "POST /webhooks/zupy",
            "stage": "$default",
            "time": "26/Aug/2025:14:20:01 +0000",
            "timeEpoch": 1756218001000u64
        },
        "body": body,
        "isBase64Encoded": false
    });
    serde_json::to_vec(&event).expect("plain data").into()
}

pub fn valid(run: u64, n: u64) -> Arc<[u8]> {
    let body = payload(run, n).to_string();
    envelope(&body, &sign(&body))
}

/// Events that a correct peer refuses, each with the expected status.
pub fn refused(run: u64) -> Vec<(Arc<[u8]>, u16)> {
    let good = payload(run, 0xFFFF00).to_string();
    let mut incomplete = payload(run, 0xFFFF01);
    incomplete["coupon"]
        .as_object_mut()
        .expect("object")
        .remove("coupon_code");
    let incomplete = incomplete.to_string();
    let broken = &good[..good.len() - 2];
    vec![
        (envelope(&good, &sign("something else")), 401),
        (envelope(&good, "sha256=zz"), 401),
        (envelope(broken, &sign(broken)), 400),
        (envelope(&incomplete, &sign(&incomplete)), 400),
    ]
}
