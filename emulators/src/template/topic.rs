//! Topics and their subscribers.

use super::functions::Scope;
use super::node::{Node, Result};
use super::resource::{Resource, SUBSCRIPTION};
use super::{Subscription, Topic, arn};

/// Protocols that SNS delivers itself, so a subscription needs no local resource.
const PROTOCOLS: [&str; 5] = ["email", "email-json", "http", "https", "sms"];

pub(super) fn topic(resource: &Resource<'_>, scope: &Scope<'_>) -> Result<Topic> {
    resource.only(
        &["TopicName", "DisplayName", "Subscription"],
        &[
            "DataProtectionPolicy",
            "DeliveryStatusLogging",
            "KmsMasterKeyId",
            "SignatureVersion",
            "Tags",
            "TracingConfig",
        ],
    )?;
    // SNS API reference, CreateTopic. A dot would make it the name of a FIFO topic.
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = &resource.name;
    if name.is_empty() || name.len() > 256 || !name.chars().all(is_legal) {
        return Err(resource.node.problem(format!(
            "a topic's name is 1 to 256 ASCII letters, digits, - and _, is {name:?}"
        )));
    }
    let display_name = match resource.property(scope, "DisplayName")? {
        Some(node) => Some(node.text()?.to_owned()),
        None => None,
    };
    let mut subscriptions = Vec::new();
    if let Some(inline) = resource.property(scope, "Subscription")? {
        for node in inline.list()? {
            node.only(&["Endpoint", "Protocol"], &[])?;
            let (protocol, endpoint) = (node.need("Protocol")?, node.need("Endpoint")?);
            subscriptions.push(subscription(protocol, endpoint)?);
        }
    }
    Ok(Topic {
        name: name.clone(),
        arn: arn("sns", name),
        display_name,
        subscriptions,
    })
}

/// Adds the subscriptions that are resources of their own.
pub(super) fn subscribe(
    topics: &mut [Topic],
    declared: &[Resource<'_>],
    scope: &Scope<'_>,
) -> Result<()> {
    let subscriptions = declared.iter();
    for resource in subscriptions.filter(|resource| resource.kind == SUBSCRIPTION) {
        resource.only(
            &["Endpoint", "Protocol", "TopicArn"],
            &[
                "DeliveryPolicy",
                "FilterPolicy",
                "FilterPolicyScope",
                "RawMessageDelivery",
                "Region",
            ],
        )?;
        let of = resource.need(scope, "TopicArn")?;
        let topic_arn = of.text()?;
        let topic = topics.iter_mut().find(|topic| topic.arn == topic_arn);
        let topic = topic.ok_or_else(|| {
            of.problem(format!(
                "{topic_arn} is not the ARN of a topic of this template"
            ))
        })?;
        let protocol = resource.need(scope, "Protocol")?;
        let endpoint = resource.need(scope, "Endpoint")?;
        topic
            .subscriptions
            .push(subscription(&protocol, &endpoint)?);
    }
    Ok(())
}

fn subscription(protocol: &Node, endpoint: &Node) -> Result<Subscription> {
    let name = protocol.text()?;
    if !PROTOCOLS.contains(&name) {
        return Err(protocol.problem(format!(
            "a subscription by {name} is not supported by the local system, which shows what goes \
             out by {}",
            PROTOCOLS.join(", ")
        )));
    }
    Ok(Subscription {
        protocol: name.to_owned(),
        endpoint: endpoint.text()?.to_owned(),
    })
}
