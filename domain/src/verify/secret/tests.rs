//! Every kind of text that somebody may store as a secret.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::headers::Headers;
use crate::provider::{aghanim, zupy};
use crate::verify::{STANDARD_WEBHOOKS, Unverified};

/// The tenant and the outcome for a body that a provider signed with the given secret.
fn is_signed_by(text: &str, secret: &str) -> Result<Option<String>, Unverified> {
    let secrets = Secrets::parse(text).unwrap_or_else(|problem| panic!("{text:?} {problem}"));
    let signer = Secret(secret.as_bytes().into());
    let headers = zupy::V1.sign(b"{}", &signer, Timestamp::UNIX_EPOCH);
    let headers: Headers<'_> = headers.into_iter().collect();
    let (verified, _) = zupy::V1.verify(&headers, b"{}", &secrets)?;
    Ok(verified.tenant().map(str::to_owned))
}

#[track_caller]
fn check(text: &str, secret: &str, tenant: Option<&str>) {
    let signed = is_signed_by(text, secret);
    assert_eq!(signed, Ok(tenant.map(str::to_owned)), "{text:?}");
}

#[track_caller]
fn check_refused(text: &str, piece: &str) {
    let secrets = Secrets::parse(text);
    let checked = secrets.and_then(|secrets| secrets.check(&[zupy::V1, zupy::V2]));
    let problem = checked.expect_err(text).to_string();
    assert!(problem.contains(piece), "{text:?} {problem}");
    assert!(
        !problem.contains("S3cr3t"),
        "it shows the secret: {problem}"
    );
}

#[test]
fn blanks_around_a_secret_do_not_count() {
    for around in [
        "\n",
        "\r\n",
        " ",
        "\t",
        "\0",
        "\u{FEFF}",
        "\u{200B}",
        "\u{200D}",
        "\u{A0}",
        "\u{2060}",
        "\u{202E}",
        "\u{AD}",
        "\u{3000}",
        "\u{85}",
        "\u{FEFF}\r\n",
    ] {
        check(&format!("{around}S3cr3t{around}"), "S3cr3t", None);
        check(&format!("new,{around}S3cr3t{around}"), "S3cr3t", None);
        let named = format!("{around}comp_1{around}={around}S3cr3t{around}");
        check(&named, "S3cr3t", Some("comp_1"));
        let json = format!("{around}{{\"secret\": \"S3cr3t\"}}{around}");
        check(&json, "S3cr3t", None);
        let json = json!({"secret": format!("{around}S3cr3t{around}"), "tenant": "comp_1"});
        // A raw invisible character inside JSON is a problem there.
        let text = json.to_string();
        if text.is_ascii() {
            check(&text, "S3cr3t", Some("comp_1"));
        }
    }
    check(r#"{"secret": "\ufeffS3cr3t\u200b\n"}"#, "S3cr3t", None);
}

#[test]
fn every_secret_can_be_written_as_json() {
    for secret in [
        "a=b",
        "comp_1=S3cr3t",
        "a,b",
        ",",
        "=",
        "a,b=c,d",
        "\"S3cr3t\"",
        "'S3cr3t'",
        "\"",
        "'",
        "{\"secret\":\"x\"}",
        "[1]",
        "{}",
        "sha256=S3cr3t",
        "whsec_S3cr3t",
        "S3\u{200B}cr3t",
        "S3\ncr3t",
        "ção 🍕",
        "It's a Secret to Everybody",
        "\\",
        "none",
        "null",
        "a\u{FFFD}b",
    ] {
        // As `jq` and other writers escape it.
        let quoted = json!(secret).to_string();
        let escaped = quoted.replace('\u{200B}', "\\u200b");
        for text in [
            format!("{{\"secret\": {escaped}}}"),
            format!("{{\n  \"secret\": {escaped},\n  \"tenant\": null\n}}\n"),
            format!("[{escaped}]"),
            format!("[\"new\", {escaped}]"),
            format!("[{escaped}, \"old\"]"),
            format!("[\"new\", {{\"secret\": {escaped}}}]"),
            format!("{{\"secrets\": [{escaped}]}}"),
            format!("\u{FEFF}{{\"secrets\": [{{\"secret\": {escaped}}}, \"old\"]}}"),
        ] {
            check(&text, secret, None);
            let secrets = Secrets::parse(&text).unwrap();
            assert_eq!(
                secrets.check(&[zupy::V1, zupy::V2, aghanim::SCHEME]),
                Ok(())
            );
        }
        let named = format!("[{{\"tenant\": \"comp ção\", \"secret\": {escaped}}}]");
        check(&named, secret, Some("comp ção"));
    }
}

#[test]
fn older_lists_stay_valid() {
    check("first, S3cr3t", "S3cr3t", None);
    check("first,,S3cr3t,", "first", None);
    check("comp_1=a, comp-2.x=S3cr3t", "S3cr3t", Some("comp-2.x"));
    check(" comp_1 = S3cr3t=1=", "S3cr3t=1=", Some("comp_1"));
    for secret in [
        "YWJj=",
        "YWJjZA==",
        "a/b=c",
        "+a=b",
        "=x",
        "{S3cr3t",
        "[S3cr3t",
        "\"S3cr3t",
        "S3cr3t'",
        "It's a Secret to Everybody",
        "S3:cr3t",
        "ção🍕",
        "❤️",
        "<S3cr3t",
        "S3\"cr\"3t",
    ] {
        check(secret, secret, None);
    }
}

/// A comma may be part of a secret, and who knows the whole text knows each piece.
#[test]
fn a_secret_with_commas_is_accepted_if_no_tenant_is_named() {
    check("S3,cr3t", "S3,cr3t", None);
    check("S3,cr3t", "S3", None);
    check("S3 ,\tcr3t\n", "S3 ,\tcr3t", None);
    let mismatch = Err(Unverified::Mismatch);
    assert_eq!(is_signed_by("comp_1=S3,cr3t", "comp_1=S3,cr3t"), mismatch);
}

/// The tenant in the text could use the whole text to sign for any other tenant.
#[test]
fn a_text_that_was_read_as_tenant_and_secret_is_recognised_and_refused() {
    for text in ["S3=cr3t", "comp_1=a,comp_2=b"] {
        assert_eq!(is_signed_by(text, text), Err(Unverified::Mismatch));
        let misread = Secrets::parse(text).unwrap().misread().unwrap();
        assert_eq!(misread.first().bytes(), text.as_bytes());
    }
    for text in ["S3cr3t", "a,b", "YWJjZA==", r#"{"secret":"S3=cr3t"}"#] {
        assert_eq!(Secrets::parse(text).unwrap().misread(), None, "{text}");
    }
}

#[test]
fn the_error_names_the_mistake() {
    for (text, piece) in [
        ("", "is empty"),
        (" \u{FEFF}\n", "is empty"),
        (" , ,", "is empty"),
        ("[]", "is empty"),
        (r#"{"secrets": []}"#, "is empty"),
        (r#"{"secret": " "}"#, "entry 1 is empty"),
        (r#"["S3cr3t", "\ufeff"]"#, "entry 2 is empty"),
        ("\"S3cr3t\"", "stands in quotes"),
        ("'S3cr3t'", "stands in quotes"),
        ("`S3cr3t`", "stands in quotes"),
        ("\\\"S3cr3t\\\"", "stands in quotes"),
        ("“S3cr3t”", "stands in quotes"),
        ("S3cr3t’", "stands in quotes"),
        ("\"S3cr3t,old\"", "stands in quotes"),
        ("new, 'S3cr3t'", "entry 2 stands in quotes"),
        ("comp_1=\"S3cr3t\"", "entry 1 stands in quotes"),
        ("\u{FEFF}\"S3cr3t\"\n", "stands in quotes"),
        ("sha256=S3cr3t", "is a signature"),
        ("SHA256=S3cr3t", "is a signature"),
        ("old,sha1=S3cr3t", "entry 2 is a signature"),
        ("comp_1=sha256=S3cr3t", "is a signature"),
        ("whsec_S3cr3t", "begins with whsec_"),
        ("new,comp_1=whsec_S3cr3t", "entry 2 begins with whsec_"),
        ("ZUPY_WEBHOOK_SECRETS=S3cr3t", "name of a variable"),
        ("AghanimWebhookSecrets=S3cr3t", "name of a variable"),
        ("export ZUPY_WEBHOOK_SECRET=S3cr3t", "name of a variable"),
        ("secret=S3cr3t", "name of a variable"),
        ("secret: S3cr3t", "name of a variable"),
        ("X-Zupy-Signature: sha256=S3cr3t", "name of a variable"),
        (
            "arn:aws:secretsmanager:us-east-1:1:secret:S3cr3t",
            "placeholder",
        ),
        ("<S3cr3t>", "placeholder"),
        ("${S3cr3t}", "placeholder"),
        ("file://S3cr3t", "placeholder"),
        ("{{resolve:secretsmanager:S3cr3t}}", "JSON"),
        ("S3\ncr3t", "line's end"),
        ("S3\tcr3t", "line's end"),
        ("S3\u{85}cr3t", "U+0085"),
        ("S3\u{200B}cr3t", "U+200B"),
        ("S3\u{FEFF}cr3t", "U+FEFF"),
        ("S3\u{202E}cr3t", "U+202E"),
        ("S3\u{A0}cr3t", "U+00A0"),
        ("S3cr3t,S3\u{AD}cr3t", "U+00AD"),
        ("S3\u{FFFD}cr3t", "U+FFFD"),
        ("{\"secret\": \"S3\u{200B}cr3t\"}", "U+200B"),
        ("comp_1=S3cr3t,comp_22=", "names a tenant and no secret"),
        ("{\"secret\": \"S3cr3t\"", "JSON"),
        ("{'secret': 'S3cr3t'}", "JSON"),
        ("{S3cr3t}", "JSON"),
        ("{}", "JSON"),
        ("[7]", "JSON"),
        ("[[\"S3cr3t\", \"comp_1\"]]", "JSON"),
        ("{\"secrets\": [[\"S3cr3t\"]]}", "JSON"),
        ("[[\"S3cr3t\"]]", "JSON"),
        (r#"{"secret": 7}"#, "JSON"),
        (r#"{"secret": null}"#, "JSON"),
        (r#"{"secret": ["S3cr3t"]}"#, "JSON"),
        (r#"{"comp_1": "S3cr3t"}"#, "JSON"),
        (r#"{"ZUPY_WEBHOOK_SECRET": "S3cr3t"}"#, "JSON"),
        (r#"{"username": "a", "password": "S3cr3t"}"#, "JSON"),
        (r#"{"secrets": {"comp_1": "S3cr3t"}}"#, "JSON"),
        (r#"{"secrets": "S3cr3t"}"#, "JSON"),
        (r#"{"secret": "S3cr3t", "secrets": ["a"]}"#, "JSON"),
        (r#"{"secret": "a", "secret": "S3cr3t"}"#, "JSON"),
        (r#"[{"secret": "a", "tennant": "S3cr3t"}]"#, "JSON"),
        (r#"[{"tenant": "", "secret": "S3cr3t"}]"#, "an empty tenant"),
        (r#"[{"tenant": "S3cr3t"}]"#, "JSON"),
        (r#"{"secret": "S3cr3t"} {"secret": "b"}"#, "JSON"),
    ] {
        check_refused(text, piece);
    }
}

#[test]
fn a_secret_of_standard_webhooks_is_base64() {
    let check = |text: &str, expected: Option<&str>| {
        let secrets = Secrets::parse(text).unwrap();
        let problem = secrets.check(&[STANDARD_WEBHOOKS]).err();
        let problem = problem.map(|problem| problem.to_string());
        match expected {
            Some(piece) => assert!(problem.unwrap().contains(piece), "{text}"),
            None => assert_eq!(problem, None, "{text}"),
        }
    };
    check("whsec_bG9jYWw=", None);
    check("bG9jYWw=, gm_1=whsec_bG9jYWw=", None);
    check(r#"[{"tenant":"gm_1","secret":"whsec_bG9jYWw="}]"#, None);
    check(
        "whsec_bG9jYWw=,S3cr3t!",
        Some("entry 2 is none of Standard Webhooks"),
    );
    check(
        "whsec_bG9jYWw",
        Some("entry 1 is none of Standard Webhooks"),
    );
    // The template's default, which happens to be base64.
    check("none", Some("is the word none"));
}

proptest! {
    #[test]
    fn any_text_can_be_a_secret(secret in "\\PC{1,40}", tenant in "\\PC{1,20}") {
        prop_assume!(text::cleaned(&secret) == secret && !secret.is_empty());
        prop_assume!(text::cleaned(&tenant) == tenant && !tenant.is_empty());
        let ascii = |text: &str| -> String {
            let units = text.encode_utf16();
            units.map(|unit| format!("\\u{unit:04x}")).collect()
        };
        let json = format!(r#"{{"secret":"{}","tenant":"{}"}}"#, ascii(&secret), ascii(&tenant));
        let signed = is_signed_by(&json, &secret);
        prop_assert_eq!(signed, Ok(Some(tenant)));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = Secrets::parse(&text).map(|secrets| secrets.check(&[zupy::V1, STANDARD_WEBHOOKS]));
    }

    #[test]
    fn no_json_panics(text in r#"[{}\[\]":,a-z\\u0-9 ]{0,40}"#) {
        let _ = Secrets::parse(&text);
    }
}
