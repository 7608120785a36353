//! Percent-encoding of URLs and forms.

/// Percent-decodes text; a broken escape stays as it is.
pub(crate) fn decoded(encoded: &str, plus_is_space: bool) -> String {
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escape = (bytes[index] == b'%')
            .then(|| encoded.get(index + 1..index + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(match (escape, bytes[index]) {
            (Some(byte), _) => byte,
            (None, b'+') if plus_is_space => b' ',
            (None, byte) => byte,
        });
        index += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        for (encoded, expected) in [
            ("%", "%"),
            ("%4", "%4"),
            ("%+1", "%+1"),
            ("%é", "%é"),
            ("%41%zz", "A%zz"),
        ] {
            assert_eq!(decoded(encoded, false), expected);
        }
    }
}
