use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::provider::{aghanim, zupy};

const GITHUB: Scheme = Scheme {
    signature_header: "X-Hub-Signature-256",
    name: "github",
    encoding: Encoding::Hex { prefix: "sha256=" },
    signed_headers: &[],
    timestamp_header: None,
};

fn check(
    scheme: Scheme,
    secrets: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    expected: Result<(), Unverified>,
) {
    let headers = headers.iter().copied().collect();
    let secrets = Secrets::parse(secrets).unwrap();
    let verified = scheme.verify(&headers, body, &secrets);
    assert_eq!(verified.map(|_| ()), expected);
}

/// Signatures over exact bytes that other programs computed. Some are published by GitHub and
/// in RFC 4231.
#[test]
fn known_answers() {
    #[derive(Deserialize)]
    struct Vector {
        name: String,
        scheme: String,
        secret: String,
        body_base64: String,
        headers: std::collections::BTreeMap<String, String>,
        expect_valid: bool,
    }
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../testdata/vectors.json")).unwrap();
    let mut checked = 0;
    for vector in vectors {
        let scheme = match vector.scheme.as_str() {
            "aghanim" => aghanim::SCHEME,
            "zupy-v1" => zupy::V1,
            "zupy-v2" => zupy::V2,
            "standard-webhooks" => STANDARD_WEBHOOKS,
            "github-sha256" => GITHUB,
            _ => continue,
        };
        let body = STANDARD.decode(vector.body_base64).unwrap();
        let headers = vector.headers.into_iter().collect();
        let secrets = Secrets::parse(&vector.secret).unwrap();
        let verified = scheme.verify(&headers, &body, &secrets);
        assert_eq!(verified.is_ok(), vector.expect_valid, "{}", vector.name);
        checked += 1;
    }
    assert_eq!(checked, 16);
}

#[test]
fn hmac_gives_what_rfc_4231_says() {
    let secret = Secret::new("Jefe").unwrap();
    let mac = GITHUB.mac(&secret, &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(
        hex::encode(mac.unwrap().finalize().into_bytes()),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

const BODY: &[u8] = b"Hello, World!";
const DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const SECRET: &str = "It's a Secret to Everybody";

fn check_github(secrets: &str, signatures: &[&str], expected: Result<(), Unverified>) {
    let headers: Vec<_> = signatures
        .iter()
        .map(|&signature| ("x-hub-signature-256", signature))
        .collect();
    check(GITHUB, secrets, &headers, BODY, expected);
}

#[test]
fn accepts_the_old_secret_while_rotating() {
    let signature = format!("sha256={DIGEST}");
    check_github(&format!("new one, {SECRET}\n"), &[&signature], Ok(()));
    check_github("new one", &[&signature], Err(Unverified::Mismatch));
}

#[test]
fn accepts_digits_in_either_case() {
    let signature = format!("sha256={}", DIGEST.to_uppercase());
    check_github(SECRET, &[&signature], Ok(()));
}

#[test]
fn accepts_a_signature_among_repeated_headers() {
    let signature = format!("sha256={DIGEST}");
    let wrong = format!("sha256={}", DIGEST.replace('7', "8"));
    check_github(SECRET, &[&wrong, &signature], Ok(()));
    check_github(SECRET, &[&format!("{signature},{signature}")], Ok(()));
    check_github(SECRET, &[&wrong, "sha256=zz"], Err(Unverified::Mismatch));
}

#[test]
fn refuses_a_malformed_signature() {
    let malformed = Err(Unverified::Malformed("X-Hub-Signature-256"));
    for signature in [
        "sha256=",
        "sha256=test_signature",
        DIGEST,
        &format!("sha512={DIGEST}"),
        &format!("sha256={}", &DIGEST[1..]),
        &format!("sha256={DIGEST}00"),
        "sha256=ção",
    ] {
        check_github(SECRET, &[signature], malformed.clone());
    }
    check_github(SECRET, &[], Err(Unverified::Missing("X-Hub-Signature-256")));
}

#[test]
fn refuses_timestamps_that_contradict_or_are_no_number() {
    let secret = Secret::new("s").unwrap();
    let headers = aghanim::SCHEME.sign(BODY, &secret, Timestamp::from_second(7).unwrap());
    let (time, signature) = (headers[0].1.as_str(), headers[1].1.as_str());
    let names = [headers[0].0, headers[1].0];
    let check = |time: &str, expected| {
        let headers = [(names[0], time), (names[1], signature)];
        check(aghanim::SCHEME, "s", &headers, BODY, expected);
    };
    check(time, Ok(()));
    check("7,7", Ok(()));
    check("7,8", Err(Unverified::Malformed(names[0])));
    check("8", Err(Unverified::Mismatch));
    check("", Err(Unverified::Missing(names[0])));
}

#[test]
fn standard_webhooks_takes_any_of_several_signatures() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let genuine = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let check = |secrets: &str, signature: &str, expected| {
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ];
        let body = br#"{"test": 2432232314}"#;
        check(STANDARD_WEBHOOKS, secrets, &headers, body, expected);
    };
    check(secret, genuine, Ok(()));
    check(
        secret,
        &format!("v1,{} v1a,xyz {genuine}", "A".repeat(43) + "="),
        Ok(()),
    );
    let malformed = Err(Unverified::Malformed("webhook-signature"));
    check(secret, &genuine.replace("v1", "v2"), malformed.clone());
    check(secret, "v1,!!!", malformed);
    check("whsec_bm90IHRoaXM=", genuine, Err(Unverified::Mismatch));
    check("no base64", genuine, Err(Unverified::Mismatch));
}

#[test]
fn a_secret_may_name_its_tenant() {
    let check = |text: &str, expected: &[(Option<&str>, &str)]| {
        let secrets = Secrets::parse(text).unwrap();
        let secrets: Vec<_> = secrets
            .signers()
            .map(|(tenant, secret)| (tenant, std::str::from_utf8(secret.bytes()).unwrap()))
            .collect();
        assert_eq!(secrets, expected);
    };
    check("a, b\n", &[(None, "a"), (None, "b"), (None, "a, b")]);
    check(
        " comp_1 = s=1= ,b",
        &[(Some("comp_1"), "s=1="), (None, "b")],
    );
    check("YWJj=", &[(None, "YWJj=")]);
    check("whsec_YQ==", &[(None, "whsec_YQ==")]);
    check("a/b=c", &[(None, "a/b=c")]);
    check("=x", &[(None, "=x")]);
}

#[test]
fn the_secret_that_matched_names_the_tenant() {
    let secrets = Secrets::parse("one=first,two=second,third").unwrap();
    for (secret, tenant) in [
        ("first", Some("one")),
        ("second", Some("two")),
        ("third", None),
    ] {
        let secret = Secret::new(secret).unwrap();
        let headers = zupy::V1.sign(BODY, &secret, Timestamp::UNIX_EPOCH);
        let headers = headers.into_iter().collect();
        let (verified, _) = zupy::V1.verify(&headers, BODY, &secrets).unwrap();
        assert_eq!(verified.tenant(), tenant);
    }
}

#[test]
fn freshness_has_both_ends() {
    let freshness = Freshness {
        max_age_s: 300,
        max_future_s: 60,
    };
    let now = Timestamp::from_second(1_000_000).unwrap();
    let check = |offset_s: i64, fresh: bool| {
        let signed_at = now + SignedDuration::from_secs(offset_s);
        assert_eq!(freshness.check(signed_at, now).is_ok(), fresh, "{offset_s}");
    };
    check(0, true);
    check(-300, true);
    check(-301, false);
    check(60, true);
    check(61, false);
    assert!(freshness.check(Timestamp::MIN, now).is_err());
    assert!(freshness.check(Timestamp::MAX, now).is_err());
}

#[test]
fn blank_secrets_are_none() {
    assert_eq!(Secrets::parse(" , \n,"), Err(Unusable::Empty));
    assert_eq!(
        format!("{:?}", Secret::new("x").unwrap()),
        "Secret([redacted])"
    );
}

proptest! {
    #[test]
    fn a_signed_body_verifies_and_a_changed_one_does_not(
        body in prop::collection::vec(any::<u8>(), 1..200),
        secret in "[!-~]{1,40}",
        seconds in 0_i64..4_000_000_000,
        position in any::<prop::sample::Index>(),
    ) {
        let at = Timestamp::from_second(seconds).unwrap();
        let secrets = serde_json::json!({"secret": secret}).to_string();
        let secrets = Secrets::parse(&secrets).unwrap();
        for scheme in [aghanim::SCHEME, zupy::V1, zupy::V2] {
            let headers = scheme.sign(&body, secrets.first(), at).into_iter().collect();
            prop_assert!(scheme.verify(&headers, &body, &secrets).is_ok());
            let mut changed = body.clone();
            changed[position.index(body.len())] ^= 1;
            prop_assert!(scheme.verify(&headers, &changed, &secrets).is_err());
        }
    }

    #[test]
    fn no_header_panics(signature in "\\PC{0,80}", time in "\\PC{0,30}") {
        let headers = [
            ("X-Aghanim-Signature", signature.as_str()),
            ("X-Aghanim-Signature-Timestamp", time.as_str()),
            ("X-Zupy-Signature", signature.as_str()),
            ("X-Webhook-Signature", signature.as_str()),
            ("webhook-signature", signature.as_str()),
            ("webhook-timestamp", time.as_str()),
            ("webhook-id", "msg_1"),
        ];
        let headers = headers.into_iter().collect();
        let secrets = Secrets::parse("s").unwrap();
        for scheme in [aghanim::SCHEME, zupy::V1, zupy::V2, STANDARD_WEBHOOKS] {
            prop_assert_eq!(scheme.verify(&headers, b"", &secrets).is_ok(), false);
        }
    }
}
