use proptest::prelude::*;

use super::reason::*;
use super::*;

/// Checks a number's form for SMS and for WhatsApp.
#[track_caller]
fn check(text: &str, country: &str, sms: Result<&str, &str>, whatsapp: Result<&str, &str>) {
    let country = Country::of_code(country).unwrap();
    let phone = Phone::read(text, country);
    let of = |number: fn(&Phone) -> Result<&str, &'static str>| match &phone {
        Ok(phone) => number(phone),
        Err(reason) => Err(*reason),
    };
    assert_eq!(of(Phone::for_sms), sms, "{text:?}, SMS");
    assert_eq!(of(Phone::for_whatsapp), whatsapp, "{text:?}, WhatsApp");
}

#[track_caller]
fn mobile(text: &str, expected: &str) {
    check(text, "BR", Ok(expected), Ok(expected));
}

#[track_caller]
fn landline(text: &str, expected: &str) {
    check(text, "BR", Err(LANDLINE), Ok(expected));
}

#[track_caller]
fn refused(text: &str, reason: &str) {
    check(text, "BR", Err(reason), Err(reason));
}

const MARIA: &str = "+5511965958122";

#[test]
fn a_brazilian_mobile_is_read_in_all_spellings() {
    for text in [
        "+5511965958122",
        "+55 11 96595-8122",
        " +55 (11) 96595-8122\n",
        "+55.11.96595.8122",
        "(+55) 11 96595 8122",
        "++5511965958122",
        "+55\u{a0}11\u{a0}96595\u{2011}8122",
        "\u{202a}+55 11 96595-8122\u{202c}",
        "5511965958122",
        "55 11 96595-8122",
        "55 (11) 9 6595-8122",
        "005511965958122",
        "00 55 11 96595 8122",
        "+005511965958122",
        "11965958122",
        "(11) 96595-8122",
        "(11)9.6595.8122",
        "11/96595-8122",
        "[11] 96595_8122",
        "011965958122",
        "0 11 96595-8122",
        "(011) 96595-8122",
        "+55 (011) 96595-8122",
        "+55 (0) 11 96595-8122",
        // 15, 21 and 43 are carriers.
        "0 15 11 96595-8122",
        "02111965958122",
        "0 43 11 96595 8122",
        "+55 0 15 11 96595-8122",
        "0xx11 96595-8122",
        "0XX(11) 96595-8122",
        "(0 xx 11) 96595-8122",
        "+55 0xx11 96595-8122",
        // The country's code twice.
        "+55 55 11 96595-8122",
        "05511965958122",
        // Other digits and signs.
        "＋５５ （１１） ９６５９５－８１２２",
        "+٥٥١١٩٦٥٩٥٨١٢٢",
        "٠١١٩٦٥٩٥٨١٢٢",
        "۱۱ ۹۶۵۹۵-۸۱۲۲",
        "११९६५९५८१२२",
        // Links and labels.
        "tel:+55-11-96595-8122",
        "TEL:11965958122",
        "tel:11965958122;phone-context=+55",
        "tel:+5511965958122;ext=3",
        "whatsapp:+5511965958122",
        "https://wa.me/5511965958122",
        "Cel.: (11) 96595-8122",
        "WhatsApp 11 96595-8122",
        "11 96595-8122 (WhatsApp)",
        "11 96595-8122 - Maria",
        // Extensions.
        "+55 11 96595 8122 ramal 3",
        "11 96595-8122 Ramal: 1234",
        "11 96595-8122, r. 12",
        "11 96595-8122 ext. 3",
        "11 96595-8122 x3",
        "11 96595-8122 #3",
    ] {
        mobile(text, MARIA);
    }
}

#[test]
fn an_old_mobile_gets_its_ninth_digit() {
    for text in [
        "1165958122",
        "(11) 6595-8122",
        "+55 11 6595-8122",
        "551165958122",
        "00551165958122",
        "01165958122",
        "0 15 11 6595-8122",
    ] {
        mobile(text, MARIA);
    }
    mobile("(21) 8765-4321", "+5521987654321");
    mobile("61 9123-4567", "+5561991234567");
    // An area code that equals the country's code: Santa Maria.
    mobile("55 99659-5812", "+5555996595812");
    mobile("(55) 9659-5812", "+5555996595812");
    mobile("055 99659-5812", "+5555996595812");
    mobile("+55 55 99659-5812", "+5555996595812");
}

#[test]
fn a_landline_gets_whatsapp_and_no_text_message() {
    for text in [
        "(11) 3333-4444",
        "1133334444",
        "+55 11 3333-4444",
        "551133334444",
        "01133334444",
        "0 15 11 3333-4444",
        "11 3333-4444 ramal 210",
        "11 3333-4444 / ramal 210",
    ] {
        landline(text, "+551133334444");
    }
    landline("55 3222-3333", "+555532223333");
}

#[test]
fn a_number_that_cannot_be_reached_has_its_reason() {
    for text in [
        "96595-8122",
        "965958122",
        "3333-4444",
        "6595-8122",
        "+55 96595-8122",
    ] {
        refused(text, NO_AREA);
    }
    for text in [
        "(20) 96595-8122",
        "20965958122",
        "+55 20 3333-4444",
        "+55 10 96595-8122",
        "(23) 6595-8122",
    ] {
        refused(text, WRONG_AREA);
    }
    refused("+5511000000000", NOT_GIVEN_OUT);
    refused("11 1333-4444", NOT_GIVEN_OUT);
    for text in ["+55", "+55 11 1", "123", "190", "1", "+0", "1-800-FLOWERS"] {
        refused(text, TOO_SHORT);
    }
    for text in [
        "+5511965958122965958",
        "119659581221",
        "5511965958122965958122",
    ] {
        refused(text, TOO_LONG);
    }
    refused("11 9659581221234567890123456", TOO_LONG);
    for text in ["+999 11 96595-8122", "+210 123456789"] {
        refused(text, NO_COUNTRY);
    }
    for text in ["0800 123 4567", "0300 123 4567", "+55 800 123 4567"] {
        refused(text, SERVICE);
    }
    for text in [
        "+5511965958122;+5511965958123",
        "+5511965958122,+5511965958123",
        "11 96595-8122 / 11 3333-4444",
        "11 96595-8122 ou 11 3333-4444",
        "11 96595-8122 +55 11 96595-8123",
    ] {
        refused(text, SEVERAL);
    }
    for text in [
        "+55 11 96595-812a",
        "+5511965958122+",
        "11 96595-8122 casa 3",
        "whatsapp",
        "11965958122@c.us",
    ] {
        refused(text, OTHER_CHARACTERS);
    }
    refused(&"1 ".repeat(200), OTHER_CHARACTERS);
    for text in ["", " - ", "+", "()", "\u{200b}"] {
        refused(text, NONE);
    }
}

#[test]
fn numbers_of_other_countries_keep_to_their_own_rules() {
    let check = |text, country, number| check(text, country, Ok(number), Ok(number));
    // If a country's mobiles look like its landlines, the number may be a mobile.
    check("+1 (212) 555-0123", "BR", "+12125550123");
    check("(212) 555-0123", "US", "+12125550123");
    check("1-212-555-0123", "US", "+12125550123");
    check("011 55 11 96595-8122", "US", MARIA);
    check("912 345 678", "PT", "+351912345678");
    check("00351 912 345 678", "BR", "+351912345678");
    check("0151 23456789", "DE", "+4915123456789");
    check("+49 (0) 151 23456789", "BR", "+4915123456789");
    check("07400 123456", "gb", "+447400123456");
    check("0011 55 11 96595 8122", "AU", MARIA);
    check("+7 912 345-67-89", "BR", "+79123456789");
}

#[test]
fn numbers_elsewhere_are_refused_with_their_reason() {
    check("+1 999 555 0123", "BR", Err(WRONG_AREA), Err(WRONG_AREA));
    check("555-0123", "US", Err(NO_AREA), Err(NO_AREA));
    check("+1 800 555 0123", "BR", Err(SERVICE), Err(SERVICE));
    check("+351 21 123 4567", "BR", Err(LANDLINE), Ok("+351211234567"));
    // Without a +, the rules of the tenant's own country decide.
    check("5511965958122", "US", Err(TOO_LONG), Err(TOO_LONG));
    check("11965958122", "US", Err(TOO_SHORT), Err(TOO_SHORT));
}

#[test]
fn a_country_is_named_by_its_code() {
    assert_eq!(Country::of_code("br"), Some(Country::BRAZIL));
    for code in ["PT", "us", "GB", "AO"] {
        assert!(Country::of_code(code).is_some(), "{code}");
    }
    for code in ["", "UK", "BRA", "55", "+55", "Brazil", "XX", "ZZ", "001"] {
        assert_eq!(Country::of_code(code), None, "{code}");
    }
}

/// The library reads its tables with the smaller of two engines for regular expressions.
/// `regex-lite` must accept each country's table.
#[test]
fn each_country_s_own_examples_can_exist() {
    use rlibphonenumber::PhoneNumberType::*;
    let kinds = [
        FixedLine,
        Mobile,
        TollFree,
        PremiumRate,
        SharedCost,
        VoIP,
        PersonalNumber,
        Pager,
        UAN,
        VoiceMail,
    ];
    for region in LIBRARY.get_supported_regions() {
        for kind in kinds {
            let Ok(example) = LIBRARY.get_example_number_for_type_and_region(region, kind) else {
                continue;
            };
            let e164 = LIBRARY.format(&example, PhoneNumberFormat::E164);
            let national = LIBRARY.format(&example, PhoneNumberFormat::National);
            let read = Phone::read(&e164, Country::BRAZIL);
            assert!(read.is_ok_and(|it| it.e164 == e164), "{region:?} {kind:?}");
            let read = Phone::read(&national, Country(region));
            assert!(
                read.is_ok_and(|it| it.e164 == e164),
                "{region:?} {kind:?} {national}"
            );
        }
    }
}

proptest! {
    #[test]
    fn every_accepted_number_is_e_164(
        text in "\\PC{0,30}|\\+?[0-9 ().-]{6,24}|\
                (0|00|\\+|0xx|\\+?55)?[ (]?[1-9][0-9]\\)?[2-9][0-9]{7,8}",
        country in "BR|US|PT|DE",
    ) {
        let country = Country::of_code(&country).unwrap();
        if let Ok(phone) = Phone::read(&text, country) {
            let digits = phone.e164.strip_prefix('+').unwrap();
            prop_assert!((7..=15).contains(&digits.len()));
            prop_assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            let again = Phone::read(&phone.e164, country);
            prop_assert!(again == Ok(phone));
        }
    }
}
