//! Masks personal data. A reader recognises known data, and learns no new data.

/// Replaces the masked parts.
const LEFT_OUT: char = '…';

/// Masks a name: `M… S…`.
pub fn masked_name(name: &str) -> String {
    let words = name.split_whitespace().map(beginning);
    words.collect::<Vec<_>>().join(" ")
}

/// Masks an e-mail address: `m…@e….com`.
pub fn masked_email(address: &str) -> String {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return LEFT_OUT.to_string();
    };
    match domain.rsplit_once('.') {
        Some((name, last)) => format!("{}@{}.{last}", beginning(local), beginning(name)),
        None => format!("{}@{}", beginning(local), beginning(domain)),
    }
}

/// Masks a phone number down to its last two digits: `…21`.
pub fn masked_phone(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let last = digits.len().saturating_sub(2);
    // In a short number, two digits would reveal too much.
    let shown: &[char] = if digits.len() < 6 {
        &[]
    } else {
        &digits[last..]
    };
    std::iter::once(LEFT_OUT)
        .chain(shown.iter().copied())
        .collect()
}

fn beginning(word: &str) -> String {
    word.chars().take(1).chain([LEFT_OUT]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_left_than_one_recognises() {
        assert_eq!(masked_name("  Maria  da Silva "), "M… d… S…");
        assert_eq!(masked_name("Ägidius"), "Ä…");
        assert_eq!(masked_name(""), "");
        assert_eq!(masked_email("maria@mail.example.com"), "m…@m….com");
        assert_eq!(masked_email("a@b@localhost"), "a…@l…");
        assert_eq!(masked_email("none"), "…");
        assert_eq!(masked_phone("+55 (11) 98765-4321"), "…21");
        assert_eq!(masked_phone("190"), "…");
    }
}
