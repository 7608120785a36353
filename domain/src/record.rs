//! The names of the records that tasks leave beneath an event.

/// The prefix of the partition keys of refused bodies; the provider's name follows. No event's key
/// has this prefix.
pub const REFUSED: &str = "refused#";

/// The record of the task `inventory`.
pub const INVENTORY: &str = "inventory";
/// The record of the task `fraud`.
pub const FRAUD: &str = "fraud";
/// The record of the task `analytics`.
pub const ANALYTICS: &str = "analytics";
/// The record of the task `surveys`: that a use's survey is scheduled, or why it is not.
pub const SURVEYS: &str = "surveys";

/// The records that follow when a survey is due.
pub mod surveys {
    /// The message to the member: done if it was sent, else the reason.
    pub const ASK: &str = "surveys/ask";
    /// The member's answer.
    pub const ANSWER: &str = "surveys/answer";
}

/// The records of the task `delivery`: one for each thing that can fail by itself.
pub mod delivery {
    /// The coupon in its member's account.
    pub const ACCOUNT: &str = "delivery/account";
    /// The mail to the member.
    pub const EMAIL: &str = "delivery/email";
    /// The WhatsApp message to the member.
    pub const WHATSAPP: &str = "delivery/whatsapp";
    /// The SMS to the member.
    pub const SMS: &str = "delivery/sms";
    /// The reminder before the coupon expires.
    pub const REMINDER: &str = "delivery/reminder";
    /// The member's contact.
    pub const CONTACT: &str = "delivery/contact";
    /// The items that the game's own server gave its player.
    pub const GRANT: &str = "delivery/grant";
    /// The event that was passed on to the game's own server.
    pub const FORWARD: &str = "delivery/forward";
}
