//! E-mail addresses in the form that SES accepts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

const NOT_ONE: &str = "not one e-mail address";
const LOCAL: &str =
    "an e-mail address with other characters than ASCII before the @, which SES does not take";
const DOMAIN: &str = "an e-mail address whose domain cannot exist";

/// The address in ASCII, with its domain in Punycode. SES has no SMTPUTF8, and takes only 7-bit
/// ASCII before the @
/// ([`Destination`](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html)).
/// The reason of a refusal is for an operator, and never quotes the address.
pub(crate) fn in_ascii(text: &str) -> Result<String, &'static str> {
    let address = text.trim();
    let address = match address.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => &address[7..],
        _ => address,
    };
    // Only one address: a separator would send the coupon to other people too.
    if address.contains(|c: char| ",;<>".contains(c) || c.is_control() || c.is_whitespace()) {
        return Err(NOT_ONE);
    }
    // A keyboard for Chinese or Japanese can type a wide @.
    let address = address.replace(['\u{ff20}', '\u{fe6b}'], "@");
    let (local, domain) = address.rsplit_once('@').ok_or(NOT_ONE)?;
    if local.is_empty() || local.contains('@') {
        return Err(NOT_ONE);
    }
    if !local.is_ascii() {
        return Err(LOCAL);
    }
    // A full stop after an address belongs to the sentence around it.
    let domain = domain.trim_end_matches('.');
    let domain = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::Allow,
            DnsLength::Verify,
        )
        .map_err(|_| DOMAIN)?;
    Ok(format!("{local}@{domain}"))
}

/// The longest part of a name in one encoded word, which has at most 75 characters (RFC 2047).
const WORD_MAX_BYTES: usize = 45;

/// A sender's address, with or without a name, in the form that SES accepts: `Cupons
/// <cupons@example.com>`. Characters of the name beyond ASCII become MIME's encoded words.
pub(crate) fn mailbox(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let parts = text.strip_suffix('>').and_then(|it| it.split_once('<'));
    let Some((name, address)) = parts else {
        return in_ascii(text);
    };
    let address = in_ascii(address)?;
    let name = name.trim();
    if name.contains(char::is_control) {
        return Err(NOT_ONE);
    }
    Ok(match name {
        "" => address,
        _ if name.is_ascii() => format!("{name} <{address}>"),
        _ => format!("{} <{address}>", encoded_words(name.trim_matches('"'))),
    })
}

fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut part = String::new();
    for character in text.chars() {
        if part.len() + character.len_utf8() > WORD_MAX_BYTES {
            words.push(encoded_word(&part));
            part.clear();
        }
        part.push(character);
    }
    words.push(encoded_word(&part));
    words.join(" ")
}

fn encoded_word(text: &str) -> String {
    format!("=?UTF-8?B?{}?=", BASE64_STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        assert_eq!(
            in_ascii(text).as_deref(),
            expected.as_ref().copied(),
            "{text:?}"
        );
    }

    #[test]
    fn an_ordinary_address_stays_as_it_is() {
        for address in [
            "customer@example.com",
            "Maria.Silva+cupons@mail.example.com.br",
            "o'neil@example.com",
            "a@b",
        ] {
            check(address, Ok(address));
        }
        check("Maria@Example.COM", Ok("Maria@example.com"));
        check("mailto:maria@example.com", Ok("maria@example.com"));
        check("MailTo:maria@example.com", Ok("maria@example.com"));
        check("maria@example.com.", Ok("maria@example.com"));
        check("maria＠example.com", Ok("maria@example.com"));
    }

    #[test]
    fn an_international_domain_becomes_punycode() {
        check("maria@café.com.br", Ok("maria@xn--caf-dma.com.br"));
        // The same letters in two characters, and in capitals.
        check("maria@cafe\u{301}.com.br", Ok("maria@xn--caf-dma.com.br"));
        check("maria@CAFÉ.com.br", Ok("maria@xn--caf-dma.com.br"));
        check(
            "maria@pão.são-paulo.br",
            Ok("maria@xn--po-sia.xn--so-paulo-rza.br"),
        );
        check("maria@straße.de", Ok("maria@xn--strae-oqa.de"));
        check("maria@例え.テスト", Ok("maria@xn--r8jz45g.xn--zckzah"));
        check("maria@例え。テスト", Ok("maria@xn--r8jz45g.xn--zckzah"));
        check("maria@пример.рф", Ok("maria@xn--e1afmkfd.xn--p1ai"));
        check("maria@ｅｘａｍｐｌｅ．ｃｏｍ", Ok("maria@example.com"));
        check("maria@xn--caf-dma.com.br", Ok("maria@xn--caf-dma.com.br"));
    }

    #[test]
    fn an_address_that_ses_never_takes_is_refused_with_its_reason() {
        check("joão@example.com", Err(LOCAL));
        check("玛丽@例え.テスト", Err(LOCAL));
        for address in [
            "maria@",
            "maria@.",
            "maria@exa_mple.com",
            "maria@a..b",
            "maria@xn--a",
        ] {
            check(address, Err(DOMAIN));
        }
        check(&format!("maria@{}.com", "é".repeat(70)), Err(DOMAIN));
        for address in [
            "",
            "maria",
            "@example.com",
            "a@b@example.com",
            "maria@example.com, ana@example.com",
            "maria@example.com;ana@example.com",
            "Maria <maria@example.com>",
            "maria silva@example.com",
            "maria@example.com\nbcc:ana@example.com",
        ] {
            check(address, Err(NOT_ONE));
        }
    }

    #[test]
    fn a_sender_s_name_and_domain_are_written_in_ascii() {
        let check = |text: &str, expected: Result<&str, &str>| {
            assert_eq!(
                mailbox(text).as_deref(),
                expected.as_ref().copied(),
                "{text:?}"
            );
        };
        for plain in [
            "cupons@example.com",
            "Cupons <cupons@example.com>",
            "\"Pizza, S.A.\" <cupons@example.com>",
        ] {
            check(plain, Ok(plain));
        }
        check("<cupons@example.com>", Ok("cupons@example.com"));
        check(
            "Pão <cupons@pão.com>",
            Ok("=?UTF-8?B?UMOjbw==?= <cupons@xn--po-sia.com>"),
        );
        let long = mailbox(&format!("{} <a@b>", "ção ".repeat(20))).unwrap();
        let words: Vec<_> = long.split(' ').collect();
        assert!(
            words.len() > 2 && words.iter().all(|it| it.len() <= 75),
            "{long}"
        );
        check("Cupons cupons@example.com", Err(NOT_ONE));
        check("cupons", Err(NOT_ONE));
        check("A\r\nBcc: b@c <cupons@example.com>", Err(NOT_ONE));
    }

    proptest! {
        #[test]
        fn every_accepted_address_is_one_address_in_ascii(text in "\\PC{0,20}(@\\PC{0,20}){0,2}") {
            if let Ok(address) = in_ascii(&text) {
                prop_assert!(address.is_ascii() && address.matches('@').count() == 1);
                prop_assert!(!address.contains([',', ';', '<', '>', ' ', '\n']));
                prop_assert_eq!(in_ascii(&address), Ok(address.clone()));
            }
        }
    }
}
