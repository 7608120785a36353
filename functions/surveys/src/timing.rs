//! When a survey is due: some time after the use, and outside the tenant's quiet hours.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use webhooks::event::EventKey;
use webhooks::survey;

/// A use older than this gets no survey.
const OLDEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The least time between now and a schedule. EventBridge Scheduler invokes within the minute of
/// the schedule, and its documents define no result for a time in the past ([schedule
/// types](https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html)).
const LEAD: SignedDuration = SignedDuration::from_secs(60);

/// The longest quiet hours, so that the surveys that they hold find a place before the next ones.
const QUIET_MAX: SignedDuration = SignedDuration::from_hours(18);

/// The hours of the day without surveys, on the tenant's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quiet {
    from: Time,
    until: Time,
}

impl Quiet {
    /// No hour is quiet.
    pub(crate) const OFF: Self = Self {
        from: Time::MIN,
        until: Time::MIN,
    };

    /// Reads `22:00-08:00`, or `off`. `None` for another text, and for hours that leave less than
    /// six.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("off") {
            return Some(Self::OFF);
        }
        let (from, until) = text.split_once('-')?;
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).ok();
        let quiet = Self {
            from: time(from)?,
            until: time(until)?,
        };
        (quiet.from != quiet.until && quiet.length() <= QUIET_MAX).then_some(quiet)
    }

    /// How long the quiet hours are on a day of 24 hours.
    fn length(self) -> SignedDuration {
        let length = self.from.duration_until(self.until);
        match length.is_negative() {
            true => length + SignedDuration::from_hours(24),
            false => length,
        }
    }

    fn holds(self, time: Time) -> bool {
        match self.from <= self.until {
            true => self.from <= time && time < self.until,
            false => self.from <= time || time < self.until,
        }
    }

    /// The end of the quiet hours around a moment; `None` outside them.
    fn end_after(self, at: &Zoned) -> Option<Timestamp> {
        let time = at.time();
        if !self.holds(time) {
            return None;
        }
        let ends_tomorrow = self.from > self.until && time >= self.from;
        let date = match ends_tomorrow {
            true => at.date().tomorrow().ok()?,
            false => at.date(),
        };
        // If a clock goes back, it shows the end twice, and the hour before the second one is quiet
        // too.
        let end = at
            .time_zone()
            .to_ambiguous_zoned(date.to_datetime(self.until));
        Some(end.later().ok()?.timestamp())
    }
}

/// The settings for the timing of a tenant's surveys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing<'a> {
    /// The time from the use to its survey.
    pub(crate) delay: SignedDuration,
    /// The time over which the surveys that quiet hours hold are spread; at most three hours.
    pub(crate) spread: SignedDuration,
    pub(crate) quiet: Quiet,
    pub(crate) zone: &'a TimeZone,
}

impl Timing<'_> {
    /// When the survey of a use is due, in whole seconds.
    pub(crate) fn due_at(&self, key: &EventKey, used_at: Timestamp, now: Timestamp) -> Timestamp {
        let after = |at: Timestamp, time| at.checked_add(time).unwrap_or(Timestamp::MAX);
        // A till's clock may be ahead.
        let after_use = after(used_at.min(now), self.delay);
        let earliest = with_lead(whole_second(after_use), now);
        self.allowed_from(key, earliest).unwrap_or(earliest)
    }

    /// When a survey that is due in the quiet hours may go out: in the morning, at a second that
    /// the key decides. `None` if it may go out when it is due.
    pub(crate) fn allowed_from(&self, key: &EventKey, at: Timestamp) -> Option<Timestamp> {
        let end = self.quiet.end_after(&at.to_zoned(self.zone.clone()))?;
        end.checked_add(self.place(key)).ok()
    }

    /// The key's place in the morning.
    fn place(&self, key: &EventKey) -> SignedDuration {
        let id = survey::id(key);
        let hash = id.first_chunk().copied().map_or(0, u64::from_be_bytes);
        let seconds = self.spread.as_secs().unsigned_abs().max(1);
        SignedDuration::from_secs((hash % seconds).cast_signed())
    }
}

/// A schedule's time, but no earlier than the scheduler certainly accepts.
pub(crate) fn with_lead(at: Timestamp, now: Timestamp) -> Timestamp {
    let earliest = now.checked_add(LEAD).unwrap_or(Timestamp::MAX);
    at.max(whole_second(earliest))
}

/// The first whole second from a time on.
fn whole_second(at: Timestamp) -> Timestamp {
    let second = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(at)
}

/// Whether it is too late to ask about a use.
pub(crate) fn is_too_late(used_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(used_at) > OLDEST
}

#[cfg(test)]
mod tests;
