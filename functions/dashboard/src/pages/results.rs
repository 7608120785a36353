//! Results of tasks in the reader's language. Records hold them in English, as the commands print
//! them.

use jiff::tz::TimeZone;

use super::records::moment_of;
use crate::language::Language;
use crate::words::records::Records;
use crate::written::Written;

/// The results that are the same for every coupon, and their translations.
const FIXED: [(&str, &str); 31] = [
    ("counted", "contado"),
    ("scheduled", "agendada"),
    ("nothing found", "nada encontrado"),
    ("sandbox", "sandbox ou teste"),
    (
        "a sandbox or test event: not sent",
        "evento de sandbox ou de teste: não enviado",
    ),
    (
        "a sandbox or test event: not counted",
        "evento de sandbox ou de teste: não contado",
    ),
    ("no contact", "sem contato"),
    ("no phone number", "sem número de telefone"),
    ("no e-mail address", "sem endereço de e-mail"),
    (
        "more than one phone number",
        "mais de um número de telefone",
    ),
    (
        "a phone number without its area code",
        "número de telefone sem o DDD",
    ),
    (
        "a phone number whose area code does not exist",
        "número de telefone com DDD que não existe",
    ),
    (
        "a phone number whose country code does not exist",
        "número de telefone com código de país que não existe",
    ),
    (
        "a phone number with too few digits for its country",
        "número de telefone com dígitos de menos para o país",
    ),
    (
        "a phone number with too many digits for its country",
        "número de telefone com dígitos demais para o país",
    ),
    (
        "a phone number that its country does not give out",
        "número de telefone que o país não distribui",
    ),
    (
        "a phone number with other characters than digits",
        "número de telefone com outros caracteres além de dígitos",
    ),
    ("do not contact", "não deseja mensagens"),
    ("do_not_contact", "não deseja mensagens"),
    ("forgotten", "dados apagados"),
    ("cancelled", "cancelado"),
    ("expired", "expirado"),
    ("too_late", "tarde demais"),
    ("no_address", "sem endereço"),
    ("answered_recently", "respondeu há pouco"),
    ("asked_recently", "perguntado há pouco"),
    ("not_delivered", "não entregue"),
    ("no answer", "sem resposta do serviço"),
    ("no time was left to try it", "não houve tempo para tentar"),
    ("took nothing", "nada baixado do estoque"),
    (
        "took nothing: it names no items",
        "nada baixado do estoque: não cita itens",
    ),
];

/// A task's result for the reader. A result that no language has stays in English.
pub(super) fn said(result: &str, zone: &TimeZone, (text, written): (&Records, Written)) -> String {
    if let Some((what, until)) = reserved(result) {
        let until = moment_of(until, zone, written);
        if let Some((before, after)) = text.reserved_until.split_once("{}") {
            return format!("{before}{what}{}", after.replace("{}", &until));
        }
    }
    if written.language == Language::En {
        return result.to_owned();
    }
    if let Some((_, translated)) = FIXED.iter().find(|(english, _)| *english == result) {
        return (*translated).to_owned();
    }
    // Only the plain form: the text after a semicolon says in English why items stay.
    match result.strip_prefix("took ") {
        Some(items) if !items.starts_with("nothing") && !items.contains(';') => {
            format!("baixou do estoque {items}")
        }
        _ => result.to_owned(),
    }
}

/// The product and the time of `reserved 1 Pizza until 2026-12-25T12:00:00Z`. A product's name may
/// contain the word `until` too.
fn reserved(result: &str) -> Option<(String, &str)> {
    let (product, until) = result.strip_prefix("reserved 1 ")?.rsplit_once(" until ")?;
    until.parse::<jiff::Timestamp>().ok()?;
    Some((format!("1 × {product}"), until))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_in(language: Language, result: &str) -> String {
        let zone = TimeZone::get("America/Sao_Paulo").unwrap();
        let wording = (Records::of(language), Written::new(language));
        said(result, &zone, wording)
    }

    #[test]
    fn a_known_result_is_in_the_readers_language() {
        let check = |result: &str, expected: &str| {
            assert_eq!(said_in(Language::PtBr, result), expected);
        };
        check("no phone number", "sem número de telefone");
        check("asked_recently", "perguntado há pouco");
        check("took 2 Pizza, 1 Suco", "baixou do estoque 2 Pizza, 1 Suco");
        let left = "took 1 Pizza; left 2 items: no name";
        check(left, left);
        check("0100018-abc", "0100018-abc");
        check("", "");
        assert_eq!(said_in(Language::En, "asked_recently"), "asked_recently");
    }

    #[test]
    fn a_time_in_a_result_is_written_as_the_language_writes_it() {
        let result = "reserved 1 Open until midnight until 2026-12-25T12:00:00Z";
        let portuguese = said_in(Language::PtBr, result);
        assert_eq!(
            portuguese,
            "1 × Open until midnight reservado até 25/12/2026 09:00"
        );
        assert!(
            said_in(Language::En, result).starts_with("1 × Open until midnight reserved until")
        );
        let other = "reserved 1 Pizza until tomorrow";
        assert_eq!(said_in(Language::En, other), other);
    }

    #[test]
    fn no_result_is_there_twice() {
        let names: std::collections::BTreeSet<_> = FIXED.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), FIXED.len());
    }
}
