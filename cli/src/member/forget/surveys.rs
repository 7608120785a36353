//! Erases what surveys hold about a member: the links, and the comments.

use anyhow::Context;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use webhooks::event::EventKey;
use webhooks::survey::{ANSWER, LOOKUP, id, lookup_partition};

use super::Forgotten;
use crate::target::Target;

/// Closes the link of a use's survey, then erases the comment of its answer. Without the link's
/// row, the questionnaire saves no answer, so the comment cannot return. The rating stays, because
/// it is only a number.
pub(super) async fn forget_survey(
    target: &Target,
    use_: &EventKey,
    forgotten: &mut Forgotten,
) -> anyhow::Result<()> {
    let lookup = lookup_partition(id(use_));
    let answer = use_.beneath(ANSWER);
    if forgotten.dry_run {
        let link = row(target, &lookup, LOOKUP).await?;
        forgotten.links += usize::from(link.is_some());
        let answer = row(target, use_.coupon(), &answer).await?;
        let has_comment = answer.is_some_and(|it| it.contains_key("comment"));
        forgotten.comments += usize::from(has_comment);
        return Ok(());
    }
    let deleted = target
        .dynamodb
        .delete_item()
        .table_name(target.table("events")?)
        .key("coupon", AttributeValue::S(lookup))
        .key("entry", AttributeValue::S(LOOKUP.to_owned()))
        .return_values(ReturnValue::AllOld)
        .send()
        .await
        .map_err(|error| target.explain(error))
        .with_context(|| format!("closing the survey of {use_}"))?;
    forgotten.links += usize::from(deleted.attributes.is_some());
    let now = AttributeValue::S(Timestamp::now().to_string());
    let erased = target
        .dynamodb
        .update_item()
        .table_name(target.table("events")?)
        .key("coupon", AttributeValue::S(use_.coupon().to_owned()))
        .key("entry", AttributeValue::S(answer))
        .update_expression("REMOVE #comment SET erased_at = :now")
        .condition_expression("attribute_exists(#comment)")
        .expression_attribute_names("#comment", "comment")
        .expression_attribute_values(":now", now)
        .send()
        .await;
    match erased {
        Ok(_) => forgotten.comments += 1,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|it| it.is_conditional_check_failed_exception()) => {}
        Err(error) => {
            let error = target.explain(error);
            return Err(error).with_context(|| format!("erasing the comment on {use_}"));
        }
    }
    Ok(())
}

async fn row(
    target: &Target,
    coupon: &str,
    entry: &str,
) -> anyhow::Result<Option<webhooks::ledger::Item>> {
    let found = target
        .dynamodb
        .get_item()
        .table_name(target.table("events")?)
        .key("coupon", AttributeValue::S(coupon.to_owned()))
        .key("entry", AttributeValue::S(entry.to_owned()))
        .consistent_read(true)
        .send()
        .await
        .map_err(|error| target.explain(error))
        .with_context(|| format!("reading {coupon}/{entry}"))?;
    Ok(found.item)
}
