//! Reads the resources and the parameters of a CloudFormation stack.
//!
//! The program needs two operations of CloudFormation. Its SDK takes longer to build than the rest
//! of this program. So this module sends the request itself, and signs it with the SDK's signer.

use std::time::SystemTime;

use anyhow::{Context, bail};
use aws_config::SdkConfig;
use aws_sdk_sqs::config::{Credentials, ProvideCredentials};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::Uri;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::http::{Body, Client, Limits, parse_url};

/// The only version of the API.
const VERSION: &str = "2010-05-15";

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    /// For instance `AWS::SQS::Queue`.
    pub(crate) kind: String,
    pub(crate) logical_id: String,
    /// A table's name, or a queue's URL.
    pub(crate) physical_id: String,
}

pub(crate) async fn resources(config: &SdkConfig, stack: &str) -> anyhow::Result<Vec<Resource>> {
    let mut resources = Vec::new();
    let mut next_token = None;
    loop {
        let form = form("ListStackResources", stack, next_token.as_deref());
        let text = ask(config, form).await?;
        resources.extend(read(&text));
        match element(&text, "NextToken") {
            Some(token) => next_token = Some(token.to_owned()),
            None => return Ok(resources),
        }
    }
}

/// The value of one of the stack's parameters; `None` if the stack has no such parameter.
pub(crate) async fn parameter(
    config: &SdkConfig,
    stack: &str,
    name: &str,
) -> anyhow::Result<Option<String>> {
    let text = ask(config, form("DescribeStacks", stack, None)).await?;
    Ok(value_of(&text, name).map(str::to_owned))
}

/// Sends one request, and returns the text of the answer.
async fn ask(config: &SdkConfig, form: String) -> anyhow::Result<String> {
    let region = config
        .region()
        .context("no AWS region is set: set AWS_REGION, or a region in the profile")?
        .as_ref();
    let credentials = config
        .credentials_provider()
        .context("no AWS credentials are configured")?
        .provide_credentials()
        .await?;
    let url = endpoint(region)?;
    let request = signed(&url, form, region, &credentials)?;
    let answer = Client::of(&url)?
        .send(request, &url, Limits::WEBHOOK)
        .await?;
    let text = String::from_utf8_lossy(&answer.body);
    if !answer.status.is_success() {
        let code = element(&text, "Code").unwrap_or(answer.status.as_str());
        bail!("{code}: {}", element(&text, "Message").unwrap_or_default());
    }
    Ok(text.into_owned())
}

/// The region's endpoint, or the endpoint in the SDKs' own variables.
fn endpoint(region: &str) -> anyhow::Result<Uri> {
    let set = ["AWS_ENDPOINT_URL_CLOUDFORMATION", "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|variable| std::env::var(variable).ok().filter(|url| !url.is_empty()));
    let suffix = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    parse_url(&set.unwrap_or_else(|| format!("https://cloudformation.{region}.{suffix}/")))
}

fn form(action: &str, stack: &str, next_token: Option<&str>) -> String {
    let mut form = format!(
        "Action={action}&Version={VERSION}&StackName={}",
        form_encoded(stack)
    );
    if let Some(token) = next_token {
        form.push_str(&format!("&NextToken={}", form_encoded(token)));
    }
    form
}

fn form_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

fn signed(
    url: &Uri,
    form: String,
    region: &str,
    credentials: &Credentials,
) -> anyhow::Result<http::Request<Body>> {
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("cloudformation")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let signable = SignableRequest::new(
        "POST",
        url.to_string(),
        std::iter::once((CONTENT_TYPE.as_str(), FORM)),
        SignableBody::Bytes(form.as_bytes()),
    )?;
    let (signature, _) = sign(signable, &parameters)?.into_parts();
    let mut request = http::Request::post(url).body(Body::new(form.into_bytes().into()))?;
    request
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    signature.apply_to_request_http1x(&mut request);
    Ok(request)
}

/// Reads the resources of one page. A resource under construction has no physical id.
fn read(page: &str) -> Vec<Resource> {
    let members = page.split("<member>").skip(1);
    members
        .filter_map(|member| {
            let text = |name: &str| element(member, name).map(str::to_owned);
            Some(Resource {
                kind: text("ResourceType")?,
                logical_id: text("LogicalResourceId")?,
                physical_id: text("PhysicalResourceId")?,
            })
        })
        .collect()
}

/// The value of a parameter in a description of a stack.
fn value_of<'a>(description: &'a str, parameter: &str) -> Option<&'a str> {
    let mut members = description.split("<member>");
    let member = members.find(|member| element(member, "ParameterKey") == Some(parameter))?;
    element(member, "ParameterValue")
}

/// The text of the first element with this name. The elements that the program reads hold no other
/// elements, and no characters that XML escapes.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "
        <ListStackResourcesResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">
          <ListStackResourcesResult>
            <StackResourceSummaries>
              <member>
                <LogicalResourceId>EventsTable</LogicalResourceId>
                <PhysicalResourceId>coupons-EventsTable-1</PhysicalResourceId>
                <ResourceType>AWS::DynamoDB::Table</ResourceType>
                <ResourceStatus>CREATE_COMPLETE</ResourceStatus>
              </member>
              <member>
                <LogicalResourceId>DeliveryQueue</LogicalResourceId>
                <ResourceType>AWS::SQS::Queue</ResourceType>
              </member>
            </StackResourceSummaries>
            <NextToken>more/1==</NextToken>
          </ListStackResourcesResult>
        </ListStackResourcesResponse>";

    #[test]
    fn a_page_lists_what_is_there() {
        let expected = Resource {
            kind: "AWS::DynamoDB::Table".into(),
            logical_id: "EventsTable".into(),
            physical_id: "coupons-EventsTable-1".into(),
        };
        assert_eq!(read(PAGE), [expected]);
        assert_eq!(element(PAGE, "NextToken"), Some("more/1=="));
    }

    #[test]
    fn a_description_has_the_values_of_parameters() {
        let description = "
            <DescribeStacksResponse><DescribeStacksResult><Stacks><member>
              <StackName>coupons</StackName>
              <Parameters>
                <member>
                  <ParameterKey>MaxAgeS</ParameterKey>
                  <ParameterValue>300</ParameterValue>
                </member>
                <member>
                  <ParameterKey>TimeZone</ParameterKey>
                  <ParameterValue>Europe/Rome,comp_x=Asia/Tokyo</ParameterValue>
                </member>
              </Parameters>
            </member></Stacks></DescribeStacksResult></DescribeStacksResponse>";
        let zones = Some("Europe/Rome,comp_x=Asia/Tokyo");
        assert_eq!(value_of(description, "TimeZone"), zones);
        assert_eq!(value_of(description, "Zone"), None);
    }

    #[test]
    fn a_request_is_form_encoded() {
        assert_eq!(
            form("ListStackResources", "a b", Some("more/1==")),
            "Action=ListStackResources&Version=2010-05-15&StackName=a%20b&NextToken=more%2F1%3D%3D"
        );
    }

    #[test]
    fn a_request_is_signed_for_its_region() {
        let url = parse_url("https://cloudformation.eu-west-1.amazonaws.com/").unwrap();
        let credentials = Credentials::new("KEY", "secret", Some("token".into()), None, "test");
        let request = signed(
            &url,
            form("ListStackResources", "coupons", None),
            "eu-west-1",
            &credentials,
        )
        .unwrap();
        let header = |name: &str| request.headers()[name].to_str().unwrap();
        let authorization = header("authorization");
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=KEY/"));
        assert!(authorization.contains("/eu-west-1/cloudformation/aws4_request"));
        assert_eq!(header("x-amz-security-token"), "token");
        assert_eq!(header("content-type"), FORM);
    }
}
