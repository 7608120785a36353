//! The customer's account: the rows of the members table, one per coupon.

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use webhooks::event::{Event, Redemption, escape, member_key};
use webhooks::ledger::Row;

/// The write that puts a coupon into its member's account.
pub(crate) fn store(
    table: &str,
    event: &Event,
    redemption: &Redemption,
    forget_at: AttributeValue,
) -> anyhow::Result<TransactWriteItem> {
    let member = member_key(&event.provider, &event.tenant, &event.member.id);
    let mut row = Row::default();
    row.set("member", Some(member));
    row.set(
        "entry",
        Some(format!("coupon#{}", escape(&redemption.coupon_code))),
    );
    row.set("code", Some(&redemption.coupon_code));
    row.set("state", Some("active"));
    row.set("reward_id", redemption.reward.id.as_ref());
    row.set("reward", redemption.reward.name.as_ref());
    row.set("description", redemption.reward.description.as_ref());
    row.set("terms", redemption.reward.terms.as_ref());
    row.set("redeemed_at", Some(event.occurred_at));
    row.set("expires_at", redemption.expires_at);
    row.json("discount", redemption.discount.as_ref());
    row.set("event", Some(&event.key));
    row.0.insert("ttl".into(), forget_at);
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(row.0))
        .build()?;
    Ok(TransactWriteItem::builder().put(put).build())
}
