//! The permissions in the policies of a role, or of a function without a role.

use super::functions::Scope;
use super::node::{Kind, Node, Result};
use super::resource::{ROLE, Resource, role_arn};
use super::{ACCOUNT, Condition, Resources, Role, Statement};

/// Whom a function's role trusts.
const LAMBDA: &str = "lambda.amazonaws.com";

/// The permissions of a function.
pub(super) fn of(
    function: &Resource<'_>,
    scope: &Scope<'_>,
    declared: &[Resource<'_>],
) -> Result<Vec<Statement>> {
    let policies = function.property(scope, "Policies")?;
    match (function.property(scope, "Role")?, policies) {
        (Some(_), Some(policies)) => {
            Err(policies.problem("a function with a Role takes no Policies: SAM would ignore them"))
        }
        (Some(role), None) => of_role(&role, scope, declared),
        (None, Some(policies)) => {
            let mut statements = Vec::new();
            for policy in policies.one_or_more() {
                match &policy.kind {
                    Kind::Map(_) => {
                        policy.only(&["Statement"], &["Version"])?;
                        statements_of(policy, &mut statements)?;
                    }
                    _ => check_managed_policy(policy)?,
                }
            }
            Ok(statements)
        }
        (None, None) => Ok(vec![]),
    }
}

fn of_role(
    reference: &Node,
    scope: &Scope<'_>,
    declared: &[Resource<'_>],
) -> Result<Vec<Statement>> {
    let text = reference.text()?;
    let role = declared
        .iter()
        .find(|resource| resource.kind == ROLE && role_arn(&resource.name) == text)
        .ok_or_else(|| {
            reference.problem(format!("{text} is not the ARN of a role of this template"))
        })?;
    of_policies(role, scope)
}

/// The role with whom it trusts, unless those are functions alone.
pub(super) fn of_service(role: &Resource<'_>, scope: &Scope<'_>) -> Result<Option<Role>> {
    let Some(trust) = role.property(scope, "AssumeRolePolicyDocument")? else {
        return Ok(None);
    };
    trust.only(&["Statement"], &["Version"])?;
    let mut trusted = Vec::new();
    for statement in trust.need("Statement")?.one_or_more() {
        statement.only(&["Action", "Condition", "Effect", "Principal"], &["Sid"])?;
        statement.need("Principal")?.only(&["Service"], &[])?;
        if let Some(condition) = statement.get("Condition") {
            is_this_account(condition)?;
        }
        trusted.extend(texts(statement.need("Principal")?.need("Service")?)?);
    }
    if trusted.iter().all(|service| service == LAMBDA) {
        return Ok(None);
    }
    Ok(Some(Role {
        arn: role_arn(&role.name),
        trusted,
        statements: of_policies(role, scope)?,
    }))
}

/// A service may take on a role for one account only, which here is the only one.
fn is_this_account(condition: &Node) -> Result<()> {
    condition.only(&["StringEquals"], &[])?;
    let equals = condition.need("StringEquals")?;
    equals.only(&["aws:SourceAccount"], &[])?;
    let account = equals.need("aws:SourceAccount")?;
    if account.text()? == ACCOUNT {
        return Ok(());
    }
    Err(account.problem(format!("the local system's account is {ACCOUNT}")))
}

fn of_policies(role: &Resource<'_>, scope: &Scope<'_>) -> Result<Vec<Statement>> {
    role.only(
        &["Policies", "ManagedPolicyArns", "RoleName"],
        &[
            "AssumeRolePolicyDocument",
            "Description",
            "MaxSessionDuration",
            "Path",
            "PermissionsBoundary",
            "Tags",
        ],
    )?;
    if let Some(managed) = role.property(scope, "ManagedPolicyArns")? {
        managed.list()?.iter().try_for_each(check_managed_policy)?;
    }
    let mut statements = Vec::new();
    if let Some(policies) = role.property(scope, "Policies")? {
        for policy in policies.list()? {
            let document = policy.need("PolicyDocument")?;
            document.only(&["Statement"], &["Version"])?;
            statements_of(document, &mut statements)?;
        }
    }
    Ok(statements)
}

/// AWS's own policies that grant nothing which the local system checks.
fn check_managed_policy(policy: &Node) -> Result<()> {
    const HARMLESS: [&str; 2] = ["AWSLambdaBasicExecutionRole", "AWSXRayDaemonWriteAccess"];
    let name = policy.text()?;
    if HARMLESS
        .iter()
        .any(|known| name.rsplit('/').next() == Some(known))
    {
        return Ok(());
    }
    Err(policy.problem(format!(
        "the managed policy {name} is not supported by the local system, which knows {} and \
         statements written out",
        HARMLESS.join(", ")
    )))
}

fn statements_of(document: &Node, statements: &mut Vec<Statement>) -> Result<()> {
    for statement in document.need("Statement")?.one_or_more() {
        statement.only(
            &["Action", "Condition", "Effect", "NotResource", "Resource"],
            &["Sid"],
        )?;
        let effect = statement.need("Effect")?;
        if effect.text()? != "Allow" {
            return Err(effect.problem("only Allow is supported by the local system"));
        }
        let resources = match (statement.get("Resource"), statement.get("NotResource")) {
            (Some(these), None) => Resources::These(texts(these)?),
            (None, Some(all_but)) => Resources::AllBut(texts(all_but)?),
            (None, None) => return Err(statement.problem("Resource is missing")),
            (Some(_), Some(all_but)) => {
                return Err(all_but.problem("a statement has either Resource or NotResource"));
            }
        };
        statements.push(Statement {
            actions: texts(statement.need("Action")?)?,
            resources,
            conditions: match statement.get("Condition") {
                Some(condition) => conditions(condition)?,
                None => vec![],
            },
        });
    }
    Ok(())
}

fn conditions(node: &Node) -> Result<Vec<Condition>> {
    node.only(&["StringLike"], &[])?;
    let keys = node.need("StringLike")?.entries()?.iter();
    keys.map(|(key, patterns)| {
        Ok(Condition {
            key: key.clone(),
            patterns: texts(patterns)?,
        })
    })
    .collect()
}

fn texts(node: &Node) -> Result<Vec<String>> {
    let nodes = node.one_or_more().iter();
    nodes.map(|node| Ok(node.text()?.to_owned())).collect()
}
