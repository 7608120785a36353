//! Reads fields of a payload and collects their problems, so that one answer lists all.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Field, Until, end_of};
use crate::event::{Event, KEY_PART_MAX_BYTES, escape};
use crate::identifier::clean;
use crate::problem::Problem;

/// The most problems that an answer lists. A body of 256 KiB has room for so many that Lambda,
/// which takes 6 MB, would refuse the answer.
pub const PROBLEMS_MAX: usize = 100;

/// The longest path of a field in a warning, in bytes. A row and a message hold up to a hundred
/// warnings.
const WARNED_PATH_MAX_BYTES: usize = 100;

/// Collects the problems of a payload while its fields are read.
#[derive(Debug, Default)]
pub struct Problems {
    problems: Vec<Problem>,
    /// Fields that were left out or mended; the event is taken all the same.
    warnings: Vec<Problem>,
    /// The zone in which a date without a time was read.
    zone: Option<String>,
}

impl Problems {
    /// Adds a problem, up to [`PROBLEMS_MAX`].
    pub fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        if self.problems.len() == PROBLEMS_MAX {
            return;
        }
        self.problems.push(Problem {
            field: field.into(),
            problem: problem.into(),
        });
    }

    fn warn(&mut self, path: &str, problem: String) {
        if self.warnings.len() == PROBLEMS_MAX {
            return;
        }
        let end = path.floor_char_boundary(WARNED_PATH_MAX_BYTES);
        self.warnings.push(Problem {
            field: path[..end].to_owned(),
            problem,
        });
    }

    /// A field that may be missing or null. A field of a wrong type counts as missing and causes a
    /// warning.
    pub fn optional<T>(&mut self, path: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Value(value) => Some(value),
            Field::Mended(value, how) => {
                self.warn(path, how.to_owned());
                Some(value)
            }
            Field::Absent | Field::Null => None,
            Field::Wrong(expected) => {
                self.warn(path, format!("{expected}: left out"));
                None
            }
        }
    }

    /// A field that must be there and of the right type.
    pub fn required<T>(&mut self, path: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Absent | Field::Null => {
                self.add(path, "is missing");
                None
            }
            Field::Wrong(expected) => {
                self.add(path, expected);
                None
            }
            other => self.optional(path, other),
        }
    }

    /// The moment until which something is valid. A date without a time is valid until the end of
    /// that day in the tenant's time zone.
    pub fn until(&mut self, path: &str, field: Field<Until>, zone: &TimeZone) -> Option<Timestamp> {
        let until = self.required(path, field)?;
        Some(self.moment(path, until, zone))
    }

    /// Like [`until`](Self::until), for a field that may be missing.
    pub fn optional_until(
        &mut self,
        path: &str,
        field: Field<Until>,
        zone: &TimeZone,
    ) -> Option<Timestamp> {
        let until = self.optional(path, field)?;
        Some(self.moment(path, until, zone))
    }

    fn moment(&mut self, path: &str, until: Until, zone: &TimeZone) -> Timestamp {
        let day = match until {
            Until::Moment(moment) => return moment,
            Until::Day(day) => day,
        };
        let name = zone.iana_name().unwrap_or("UTC");
        self.warn(
            path,
            format!("has no time: read as the end of that day in {name}"),
        );
        self.zone = Some(name.to_owned());
        end_of(day, zone)
    }

    /// An object. If the object is missing, each of its required fields is reported.
    pub fn section<T: Default>(&mut self, path: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Absent | Field::Null => Some(T::default()),
            other => self.required(path, other),
        }
    }

    /// A text that may be missing, without blanks around it. A blank text counts as missing.
    pub fn text(&mut self, path: &str, field: Field<String>) -> Option<String> {
        let text = self.optional(path, field)?;
        let cleaned = clean(&text);
        (!cleaned.is_empty()).then(|| cleaned.to_owned())
    }

    /// A text that must be there and may be blank, without blanks around it.
    pub fn label(&mut self, path: &str, field: Field<String>) -> Option<String> {
        let label = self.required(path, field)?;
        Some(clean(&label).to_owned())
    }

    /// A text that names something and becomes part of a key, without blanks around it.
    pub fn name(&mut self, path: &str, field: Field<String>) -> Option<String> {
        let name = self.label(path, field)?;
        if name.is_empty() {
            self.add(path, "must not be blank");
            return None;
        }
        self.key_part(path, name)
    }

    /// Refuses a name that is too long for a key.
    pub fn key_part(&mut self, path: &str, name: String) -> Option<String> {
        if escape(&name).len() > KEY_PART_MAX_BYTES {
            let problem = format!("must not be longer than {KEY_PART_MAX_BYTES} bytes");
            self.add(path, problem);
            return None;
        }
        Some(name)
    }

    /// A number that must be greater than zero.
    pub fn positive<T: Default + PartialOrd>(&mut self, path: &str, field: Field<T>) -> Option<T> {
        let number = self.required(path, field)?;
        if number <= T::default() {
            self.add(path, "must be greater than 0");
            return None;
        }
        Some(number)
    }

    /// The event with its warnings, if no field had a problem.
    ///
    /// # Errors
    /// All problems of the fields.
    pub fn settle(self, event: Option<Event>) -> Result<Event, Vec<Problem>> {
        match event {
            Some(mut event) if self.problems.is_empty() => {
                event.warnings = self.warnings;
                event.envelope.time_zone = self.zone;
                Ok(event)
            }
            _ => Err(self.problems),
        }
    }
}
