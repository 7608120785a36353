//! Checks of queue messages: reading any text never panics, and a written message reads back the
//! same.

use domain::body::BODY_MAX_BYTES;
use domain::contents::content_hash;
use domain::message::QueueMessage;
use domain::provider::{Content, read_verified};
use domain::survey::SurveyMessage;
use domain::task::{MESSAGE_VERSION, Message, QUEUED_VERSION, Queued, WorkMessage, tasks};
use domain::waiting::{WAITING_VERSION, Waiting};

/// The most bytes that a message has around its event.
const ENVELOPE_MAX_BYTES: usize = 1024;

pub fn check(data: &[u8]) {
    // SQS holds text.
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(message) = Message::read(text) {
        of_task(&message, text.len());
    }
    if let Ok(Queued::Elsewhere(elsewhere)) = Queued::read(text) {
        assert_eq!(elsewhere.version, QUEUED_VERSION);
    }
    if let Ok(SurveyMessage::Due(due)) = SurveyMessage::read(text) {
        let body = due.to_body();
        assert_sqs_takes(&body, text.len());
        assert_eq!(SurveyMessage::read(&body), Ok(SurveyMessage::Due(due)));
    }
    if let Ok(work) = WorkMessage::read(text) {
        of_work(&work, text.len());
    }
    if let Ok(waiting) = Waiting::read(text) {
        of_retry(&waiting, text.len());
    }
}

fn of_task(message: &Message<'static>, length: usize) {
    assert!(message.version <= MESSAGE_VERSION);
    let body = message.to_body();
    assert_sqs_takes(&body, length);
    let again = Message::read(&body).expect("what is written reads back");
    assert_eq!(again, *message);
    assert_eq!(again.to_body(), body);
    assert_eq!(again.key(), message.key());
    assert_eq!(content_hash(&again.event), content_hash(&message.event));
    for task in tasks(&message.event) {
        let first = task.first_record(&message.event);
        assert!(task.records().contains(&first), "{first}");
    }
}

fn of_work(work: &WorkMessage, length: usize) {
    let body = work.clone().into_body();
    assert_sqs_takes(&body, length);
    let again = WorkMessage::read(&body).expect("what is written reads back");
    assert_eq!((&again.tasks, again.key()), (&work.tasks, work.key()));
    assert_eq!(again.into_body(), body);
}

fn of_retry(waiting: &Waiting, length: usize) {
    assert!(waiting.version <= WAITING_VERSION);
    let body = waiting.to_body();
    assert_sqs_takes(&body, length);
    assert_eq!(Waiting::read(&body).as_ref(), Ok(waiting));
    let Some(body) = waiting.body() else {
        return;
    };
    assert!(body.len() <= length.max(BODY_MAX_BYTES));
    let content = read_verified(&waiting.provider, &waiting.verified(&body));
    if let Some(Content::Event(event)) = content {
        assert_eq!(event.provider, waiting.provider);
    }
}

/// SQS refuses a message with other characters, and one of more than 1 MiB, which is four times the
/// longest body.
pub(crate) fn assert_sqs_takes(message: &str, length_of_body: usize) {
    let taken = |character: char| {
        matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}')
            || character >= '\u{10000}'
    };
    assert_eq!(message.chars().find(|&character| !taken(character)), None);
    let longest = 4 * length_of_body + ENVELOPE_MAX_BYTES;
    assert!(
        message.len() <= longest,
        "{} bytes of {length_of_body}",
        message.len()
    );
}
