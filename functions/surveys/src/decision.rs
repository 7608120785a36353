//! Whether a due survey goes out: a pure function of the known facts.

use webhooks::figures::survey::Unsent;

/// The known facts about a use, its coupon and its member when the survey is due.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Circumstances {
    /// Whether the use is too old.
    pub(crate) too_late: bool,
    /// Whether an operator erased the member's personal data.
    pub(crate) forgotten: bool,
    /// Whether an event cancelled the coupon.
    pub(crate) cancelled: bool,
    pub(crate) do_not_contact: bool,
    /// Whether a channel for surveys has an address of the member.
    pub(crate) has_address: bool,
}

/// Why the survey does not go out, if it does not. Afterwards, the claim to ask decides whether the
/// member got or answered a survey a short time ago.
pub(crate) fn decide(known: Circumstances) -> Result<(), Unsent> {
    let reasons = [
        (known.forgotten, Unsent::Forgotten),
        (known.do_not_contact, Unsent::DoNotContact),
        (known.cancelled, Unsent::Cancelled),
        (known.too_late, Unsent::TooLate),
        (!known.has_address, Unsent::NoAddress),
    ];
    let mut reasons = reasons.into_iter();
    match reasons.find(|(holds, _)| *holds) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Circumstances = Circumstances {
        too_late: false,
        forgotten: false,
        cancelled: false,
        do_not_contact: false,
        has_address: true,
    };

    #[test]
    fn a_survey_is_sent_unless_something_speaks_against_it() {
        let check = |change: fn(&mut Circumstances), expected| {
            let mut known = GOOD;
            change(&mut known);
            assert_eq!(decide(known), expected);
        };
        check(|_| {}, Ok(()));
        check(|it| it.too_late = true, Err(Unsent::TooLate));
        check(|it| it.forgotten = true, Err(Unsent::Forgotten));
        check(|it| it.cancelled = true, Err(Unsent::Cancelled));
        check(|it| it.do_not_contact = true, Err(Unsent::DoNotContact));
        check(|it| it.has_address = false, Err(Unsent::NoAddress));
    }

    #[test]
    fn the_member_s_own_will_is_the_first_reason() {
        let all = Circumstances {
            too_late: true,
            forgotten: true,
            cancelled: true,
            do_not_contact: true,
            has_address: false,
        };
        assert_eq!(decide(all), Err(Unsent::Forgotten));
        let remembered = Circumstances {
            forgotten: false,
            ..all
        };
        assert_eq!(decide(remembered), Err(Unsent::DoNotContact));
    }
}
