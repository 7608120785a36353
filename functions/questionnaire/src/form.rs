//! Reads the page's forms.

use webhooks::survey::Given;

/// The longest form. A comment of 2,000 characters takes up to 24,000 bytes in a form.
pub(crate) const FORM_MAX_BYTES: usize = 32 * 1024;

/// The media type in which browsers send a form.
pub(crate) const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// The page that a form belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Step {
    #[default]
    Rating,
    /// The questions after the rating.
    Rest,
    /// The page without further questions.
    Thanks,
}

impl Step {
    /// The step by its name in a query and a form.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "rest" => Self::Rest,
            "thanks" => Self::Thanks,
            _ => Self::Rating,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) step: Step,
    pub(crate) given: Given,
}

/// Why the function refuses a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the form has the field {0} twice")]
pub(crate) struct Twice(&'static str);

/// Reads a form. Text that is no number counts as a number outside its scale. Ignores fields that
/// the page does not have.
///
/// # Errors
///
/// A field occurs twice, so its value is ambiguous.
pub(crate) fn read(body: &[u8]) -> Result<Form, Twice> {
    let (mut step, mut rating, mut recommend, mut comment) = (None, None, None, None);
    for (name, value) in form_urlencoded::parse(body) {
        let (name, field) = match &*name {
            "step" => ("step", &mut step),
            "rating" => ("rating", &mut rating),
            "recommend" => ("recommend", &mut recommend),
            "comment" => ("comment", &mut comment),
            _ => continue,
        };
        if field.replace(value.into_owned()).is_some() {
            return Err(Twice(name));
        }
    }
    Ok(Form {
        step: step.as_deref().map(Step::named).unwrap_or_default(),
        given: Given {
            rating: rating.as_deref().and_then(number),
            recommend: recommend.as_deref().and_then(number),
            comment,
        },
    })
}

/// A number of a scale. A text that is no number becomes a number outside every scale. An empty
/// text becomes no number.
pub(crate) fn number(text: &str) -> Option<u8> {
    if text.is_empty() {
        return None;
    }
    let is_number = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    Some(match is_number {
        true => text.parse().unwrap_or(u8::MAX),
        false => u8::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Form) {
        assert_eq!(read(body.as_bytes()), Ok(expected), "{body}");
    }

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        check("", Form::default());
        let given = |rating, recommend, comment: Option<&str>| Given {
            rating,
            recommend,
            comment: comment.map(str::to_owned),
        };
        check(
            "rating=4",
            Form {
                step: Step::Rating,
                given: given(Some(4), None, None),
            },
        );
        check(
            "step=rest&recommend=10&comment=Muito+bom%21%0D%0AN%C3%A3o&other=1",
            Form {
                step: Step::Rest,
                given: given(None, Some(10), Some("Muito bom!\r\nNão")),
            },
        );
        check(
            "recommend=&comment=",
            Form {
                step: Step::Rating,
                given: given(None, None, Some("")),
            },
        );
    }

    #[test]
    fn a_number_that_is_none_is_out_of_every_scale() {
        for text in ["x", "-1", "+5", "4.0", "256", "1e0", "５", " 4"] {
            assert_eq!(number(text), Some(u8::MAX), "{text}");
        }
        assert_eq!(number("07"), Some(7));
        assert_eq!(number(""), None);
    }

    #[test]
    fn a_field_that_is_there_twice_is_not_read() {
        assert_eq!(read(b"rating=1&rating=5"), Err(Twice("rating")));
        assert_eq!(read(b"comment=a&comment=a"), Err(Twice("comment")));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let form = read(b"comment=%FF%00a").unwrap();
        assert_eq!(form.given.comment.as_deref(), Some("\u{FFFD}\0a"));
    }
}
