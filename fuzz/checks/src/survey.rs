//! Checks of a survey's token and comment: only a signed token opens anything, and no comment keeps
//! characters that steer a display.

use domain::survey::{COMMENT_MAX_CHARACTERS, Id, TOKEN_LENGTH, clean_comment, open, sign};
use domain::verify::Secrets;
use jiff::{SignedDuration, Timestamp};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// Reads the first line as a token, and the rest as a comment.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (token, comment) = text.split_once('\n').unwrap_or((&text, ""));
    let secrets = Secrets::parse("survey-secret,older-secret").expect("two plain secrets");
    // Nobody else knows the secret.
    assert_eq!(open(&secrets, token, NOW), None);
    signed(&secrets, data);
    kept(comment);
}

/// A signed token opens its survey. With one other bit, it opens nothing.
fn signed(secrets: &Secrets, data: &[u8]) {
    let mut id = Id::default();
    for (byte, given) in id.iter_mut().zip(data) {
        *byte = *given;
    }
    let token = sign(secrets, id, NOW + SignedDuration::from_hours(1));
    assert_eq!(token.len(), TOKEN_LENGTH);
    assert_eq!(open(secrets, &token, NOW), Some(id));
    let place = usize::from(data.first().copied().unwrap_or_default()) % token.len();
    let mut bytes = token.into_bytes();
    bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(bytes).expect("letters");
    assert_eq!(open(secrets, &other, NOW), None);
}

fn kept(comment: &str) {
    let Some(kept) = clean_comment(comment) else {
        return;
    };
    assert!(!kept.trim().is_empty());
    assert!(kept.chars().count() <= COMMENT_MAX_CHARACTERS);
    assert!(
        kept.chars()
            .all(|character| character == '\n' || !character.is_control()),
        "{kept:?}"
    );
    assert_eq!(clean_comment(&kept).as_deref(), Some(kept.as_str()));
}
