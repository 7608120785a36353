//! An example request for each of the template's routes.

use std::path::Path;

use domain::provider::SCHEMES;
use domain::verify::Secrets;
use emulators::template::{Function, Template};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// A route of the template, with an example request.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Example {
    method: String,
    path: String,
    function: String,
    example: Option<SignedRequest>,
}

#[derive(Debug, Clone, Serialize)]
struct SignedRequest {
    /// The route's path with its parameters filled in, and the query.
    path: String,
    curl: String,
    headers: Map<String, Value>,
    body: String,
}

/// The template's routes, each with its function's sample in `events/`, signed with this system's
/// secret.
pub(crate) fn examples(events: &Path, template: &Template, gateway_url: &str) -> Vec<Example> {
    let routes = template
        .functions
        .iter()
        .flat_map(|function| function.routes.iter().map(move |route| (function, route)));
    routes
        .map(|(function, route)| {
            let secret = function.environment.get("WEBHOOK_SECRET_ID");
            let secret = template
                .secrets
                .iter()
                .find(|secret_| Some(&secret_.arn) == secret)
                .map(|secret| secret.value.as_str());
            let url = format!("{gateway_url}{}", route.path);
            let sample = events.join(format!("{}.json", function.name));
            Example {
                method: route.method.clone(),
                path: route.path.clone(),
                function: function.name.clone(),
                example: match secret {
                    Some(secret) => signed(&sample, secret, &url, &route.path),
                    None => tokens(function, template)
                        .and_then(|tokens| bearing(&sample, tokens, gateway_url)),
                },
            }
        })
        .collect()
}

/// The access tokens of a function's callers.
pub(crate) fn tokens<'a>(function: &Function, template: &'a Template) -> Option<&'a str> {
    let id = function.environment.get("REPORT_TOKENS_SECRET_ID")?;
    let mut secrets = template.secrets.iter();
    let secret = secrets.find(|secret| secret.arn == *id)?;
    Some(&secret.value)
}

/// The first token of a list such as `tenant=token,token`.
pub(crate) fn first_token(tokens: &str) -> Option<&str> {
    let first = tokens.split(',').next()?;
    Some(first.rsplit('=').next()?.trim())
}

/// The sample's request, with the first of this system's tokens.
fn bearing(sample: &Path, tokens: &str, gateway_url: &str) -> Option<SignedRequest> {
    let event: Value = serde_json::from_slice(&std::fs::read(sample).ok()?).ok()?;
    let (path, query) = (
        event["rawPath"].as_str()?,
        event["rawQueryString"].as_str()?,
    );
    let path = format!("{path}?{query}");
    // A sample without a token asks for something else.
    event["headers"]["authorization"].as_str()?;
    let token = first_token(tokens)?;
    let bearer = format!("Bearer {token}");
    let curl = format!(
        "curl -i -H {} \\\n  {}",
        quote(&format!("Authorization: {bearer}")),
        quote(&format!("{gateway_url}{path}"))
    );
    Some(SignedRequest {
        path,
        curl,
        headers: Map::from_iter([("Authorization".to_owned(), bearer.into())]),
        body: String::new(),
    })
}

/// Signs the body of a sample again, because the file's signature is for the default local secrets.
fn signed(sample: &Path, secret: &str, url: &str, path: &str) -> Option<SignedRequest> {
    let event: Value = serde_json::from_slice(&std::fs::read(sample).ok()?).ok()?;
    let body = event["body"].as_str()?;
    let header = |name: &str| event["headers"][name.to_ascii_lowercase()].as_str();
    let scheme = SCHEMES
        .iter()
        .find(|scheme| header(scheme.signature_header).is_some())?;
    let signed_at = scheme
        .timestamp_header
        .and_then(|name| header(name)?.parse().ok())
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or_else(Timestamp::now);
    let secrets = Secrets::parse(secret).ok()?;
    let mut headers: Map<String, Value> = scheme
        .sign(body.as_bytes(), secrets.first(), signed_at)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    headers.insert("Content-Type".into(), "application/json".into());
    let header_arguments: String = headers
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().unwrap_or_default();
            format!(" \\\n  -H {}", quote(&format!("{name}: {value}")))
        })
        .collect();
    let curl = format!(
        "curl -i {}{header_arguments} \\\n  --data-binary {}",
        quote(url),
        quote(body)
    );
    Some(SignedRequest {
        path: path.to_owned(),
        curl,
        headers,
        body: body.to_owned(),
    })
}

/// Text as one word of a shell.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
