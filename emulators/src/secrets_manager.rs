//! Secrets Manager: the template's secrets, their versions, and the labels that mark the current
//! version.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::AwsError;
use crate::template::{self, Secret};

/// In characters (Secrets Manager API, CreateSecret).
const NAME_MAXIMUM: usize = 512;

/// In bytes (Secrets Manager API, CreateSecret and PutSecretValue).
const VALUE_MAXIMUM: usize = 65_536;

/// In characters (Secrets Manager API, PutSecretValue).
const TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 32..=64;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// Keeps values in memory only, because the template and its parameters give them again at each
/// start.
#[derive(Debug, Clone, Default)]
pub struct SecretsManager {
    secrets: Arc<Mutex<BTreeMap<String, Kept>>>,
}

#[derive(Debug)]
struct Kept {
    name: String,
    arn: String,
    description: Option<String>,
    created: Timestamp,
    changed: Timestamp,
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    id: String,
    contents: Contents,
    stages: Vec<String>,
    created: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Contents {
    Text(String),
    /// Base64, as on the wire.
    Binary(String),
}

impl SecretsManager {
    pub fn new(secrets: &[Secret], now: Timestamp) -> SecretsManager {
        let mut kept = BTreeMap::new();
        for secret in secrets {
            let mut entry = Kept::new(&secret.name, now);
            entry.arn = secret.arn.clone();
            let contents = Contents::Text(secret.value.clone());
            entry.put(Uuid::new_v4().to_string(), contents, &[CURRENT.into()], now);
            kept.insert(secret.name.clone(), entry);
        }
        SecretsManager {
            secrets: Arc::new(Mutex::new(kept)),
        }
    }

    /// Answers the JSON protocol: `X-Amz-Target: secretsmanager.<operation>`.
    pub fn handle(&self, operation: &str, body: &Value, now: Timestamp) -> Result<Value, AwsError> {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        match operation {
            "CreateSecret" => create(&mut secrets, body, now),
            "ListSecrets" => list(&secrets, body),
            "GetSecretValue" => find(&mut secrets, body)?.value(body),
            "DescribeSecret" => Ok(find(&mut secrets, body)?.describe("VersionIdsToStages")),
            "PutSecretValue" => {
                let given = ["SecretString", "SecretBinary"].map(|key| text(body, key));
                let is_given = |value: &Option<&str>| value.is_some_and(|it| !it.is_empty());
                let contents = contents(body).transpose();
                let Some(contents) = contents.filter(|_| given.iter().any(is_given)) else {
                    return Err(error(
                        "InvalidRequestException",
                        "You must provide either SecretString or SecretBinary.",
                    ));
                };
                let contents = contents?;
                let stages = match body.get("VersionStages").and_then(Value::as_array) {
                    Some(stages) => stages
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect(),
                    None => vec![CURRENT.to_owned()],
                };
                let secret = find(&mut secrets, body)?;
                let version = secret.put_once(body, contents, &stages, now)?;
                Ok(
                    json!({"ARN": secret.arn, "Name": secret.name, "VersionId": version, "VersionStages": stages}),
                )
            }
            "UpdateSecret" => {
                let contents = contents(body)?;
                let secret = find(&mut secrets, body)?;
                let mut answer = json!({"ARN": secret.arn, "Name": secret.name});
                if let Some(description) = text(body, "Description") {
                    secret.description = Some(description.to_owned());
                    secret.changed = now;
                }
                if let Some(contents) = contents {
                    let version = secret.put_once(body, contents, &[CURRENT.into()], now)?;
                    answer["VersionId"] = json!(version);
                }
                Ok(answer)
            }
            other => Err(error(
                "UnknownOperationException",
                &format!(
                    "This endpoint serves GetSecretValue, PutSecretValue, UpdateSecret, \
                     CreateSecret, DescribeSecret and ListSecrets, not {other}."
                ),
            )),
        }
    }
}

impl Kept {
    fn new(name: &str, now: Timestamp) -> Kept {
        Kept {
            name: name.to_owned(),
            arn: template::arn("secretsmanager", &format!("secret:{name}")),
            description: None,
            created: now,
            changed: now,
            versions: vec![],
        }
    }

    /// Stores a version. A repeated request with the same token and contents changes nothing.
    fn put_once(
        &mut self,
        body: &Value,
        contents: Contents,
        stages: &[String],
        now: Timestamp,
    ) -> Result<String, AwsError> {
        let token = text(body, "ClientRequestToken");
        if token.is_some_and(|token| !TOKEN_LENGTHS.contains(&token.len())) {
            return Err(error(
                "InvalidParameterException",
                "ClientRequestToken must be 32-64 characters long.",
            ));
        }
        let id = token.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        match self.versions.iter().find(|version| version.id == id) {
            Some(version) if version.contents == contents => {}
            Some(_) => {
                return Err(error(
                    "ResourceExistsException",
                    "A resource with the ID you requested already exists.",
                ));
            }
            None => self.put(id.clone(), contents, stages, now),
        }
        Ok(id)
    }

    /// A label is on one version only; the version that loses `AWSCURRENT` becomes `AWSPREVIOUS`.
    fn put(&mut self, id: String, contents: Contents, stages: &[String], now: Timestamp) {
        let becomes_current = stages.iter().any(|stage| stage == CURRENT);
        for version in &mut self.versions {
            let was_current = version.stages.iter().any(|stage| stage == CURRENT);
            version.stages.retain(|stage| {
                let moves = stages.contains(stage);
                let is_displaced = becomes_current && stage == PREVIOUS;
                !moves && !is_displaced
            });
            if was_current && becomes_current {
                version.stages.push(PREVIOUS.into());
            }
        }
        self.versions.push(Version {
            id,
            contents,
            stages: stages.to_vec(),
            created: now,
        });
        // A version without a label is deprecated; Secrets Manager may delete it at any time.
        self.versions.retain(|version| !version.stages.is_empty());
        self.changed = now;
    }

    fn value(&self, body: &Value) -> Result<Value, AwsError> {
        let id = text(body, "VersionId");
        let stage = text(body, "VersionStage").or(id.is_none().then_some(CURRENT));
        let version = self
            .versions
            .iter()
            .find(|version| {
                id.is_none_or(|id| version.id == id)
                    && stage.is_none_or(|stage| version.stages.iter().any(|own| own == stage))
            })
            .ok_or_else(|| {
                // The version exists, and another one has the stage.
                if self.versions.iter().any(|it| Some(it.id.as_str()) == id) {
                    return error(
                        "InvalidRequestException",
                        "You provided a VersionStage that is not associated to the provided \
                         VersionId.",
                    );
                }
                let which = match (id, stage) {
                    (Some(id), _) => format!("VersionId: {id}"),
                    (None, stage) => format!("staging label: {}", stage.unwrap_or(CURRENT)),
                };
                not_found(&format!(
                    "Secrets Manager can't find the specified secret value for {which}"
                ))
            })?;
        let (key, contents) = match &version.contents {
            Contents::Text(text) => ("SecretString", text),
            Contents::Binary(base64) => ("SecretBinary", base64),
        };
        Ok(json!({
            "ARN": self.arn,
            "Name": self.name,
            "VersionId": version.id,
            key: contents,
            "VersionStages": version.stages,
            "CreatedDate": epoch_s(version.created),
        }))
    }

    fn describe(&self, versions_key: &str) -> Value {
        let versions: BTreeMap<&str, &Vec<String>> = self
            .versions
            .iter()
            .map(|version| (version.id.as_str(), &version.stages))
            .collect();
        let mut answer = json!({
            "ARN": self.arn,
            "Name": self.name,
            "CreatedDate": epoch_s(self.created),
            "LastChangedDate": epoch_s(self.changed),
            versions_key: versions,
        });
        if let Some(description) = &self.description {
            answer["Description"] = json!(description);
        }
        answer
    }
}

fn create(
    secrets: &mut BTreeMap<String, Kept>,
    body: &Value,
    now: Timestamp,
) -> Result<Value, AwsError> {
    let name = text(body, "Name").ok_or_else(|| {
        error(
            "InvalidParameterException",
            "You must provide a value for the Name parameter.",
        )
    })?;
    check_name(name)?;
    if secrets.contains_key(name) {
        return Err(error(
            "ResourceExistsException",
            &format!("The operation failed because the secret {name} already exists."),
        ));
    }
    let mut secret = Kept::new(name, now);
    secret.description = text(body, "Description").map(str::to_owned);
    let mut answer = json!({"ARN": secret.arn, "Name": name});
    if let Some(contents) = contents(body)? {
        answer["VersionId"] = json!(secret.put_once(body, contents, &[CURRENT.into()], now)?);
    }
    secrets.insert(name.to_owned(), secret);
    Ok(answer)
}

fn list(secrets: &BTreeMap<String, Kept>, body: &Value) -> Result<Value, AwsError> {
    if body
        .get("Filters")
        .is_some_and(|filters| filters != &json!([]))
    {
        return Err(error(
            "InvalidParameterException",
            "This endpoint lists all secrets and takes no Filters.",
        ));
    }
    let listed: Vec<Value> = secrets
        .values()
        .map(|secret| secret.describe("SecretVersionsToStages"))
        .collect();
    Ok(json!({ "SecretList": listed }))
}

/// Finds a secret by its name or ARN.
fn find<'a>(
    secrets: &'a mut BTreeMap<String, Kept>,
    body: &Value,
) -> Result<&'a mut Kept, AwsError> {
    let id = text(body, "SecretId").ok_or_else(|| {
        error(
            "InvalidParameterException",
            "You must provide a value for the SecretId parameter.",
        )
    })?;
    secrets
        .values_mut()
        .find(|secret| secret.name == id || secret.arn == id)
        .ok_or_else(|| not_found("Secrets Manager can't find the specified secret."))
}

fn check_name(name: &str) -> Result<(), AwsError> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "/_+=.@-".contains(letter);
    if name.is_empty() || name.len() > NAME_MAXIMUM || !name.chars().all(is_allowed) {
        return Err(error(
            "ValidationException",
            "Invalid name. A name has 1 to 512 ASCII letters, digits or characters of /_+=.@-",
        ));
    }
    Ok(())
}

/// The value that a request stores, if it stores one.
fn contents(body: &Value) -> Result<Option<Contents>, AwsError> {
    let contents = contents_of_any_size(body)?;
    let size = contents.as_ref().map_or(1, |contents| match contents {
        Contents::Text(text) => text.len(),
        // Four characters of Base64 hold three bytes, apart from the padding.
        Contents::Binary(base64) => base64.trim_end_matches('=').len() * 3 / 4,
    });
    if size == 0 || size > VALUE_MAXIMUM {
        return Err(error(
            "ValidationException",
            &format!("A secret value has 1 to {VALUE_MAXIMUM} bytes, not {size}."),
        ));
    }
    Ok(contents)
}

fn contents_of_any_size(body: &Value) -> Result<Option<Contents>, AwsError> {
    match (text(body, "SecretString"), text(body, "SecretBinary")) {
        (Some(_), Some(_)) => Err(error(
            "InvalidParameterException",
            "You can't specify both a binary secret value and a string secret value in the same \
             secret.",
        )),
        (Some(text), None) => Ok(Some(Contents::Text(text.to_owned()))),
        (None, Some(base64)) => Ok(Some(Contents::Binary(base64.to_owned()))),
        (None, None) => Ok(None),
    }
}

fn text<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Value::as_str)
}

fn epoch_s(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

fn not_found(message: &str) -> AwsError {
    error("ResourceNotFoundException", message)
}

fn error(code: &str, message: &str) -> AwsError {
    AwsError {
        status: 400,
        code: code.into(),
        message: message.into(),
        query_code: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager() -> SecretsManager {
        let secret = Secret {
            name: "zupy-secrets".into(),
            arn: "arn:aws:secretsmanager:us-east-1:000000000000:secret:zupy-secrets".into(),
            value: "first".into(),
        };
        SecretsManager::new(&[secret], Timestamp::UNIX_EPOCH)
    }

    fn call(manager: &SecretsManager, operation: &str, body: Value) -> Value {
        manager
            .handle(operation, &body, Timestamp::UNIX_EPOCH)
            .unwrap()
    }

    #[track_caller]
    fn check_refused(manager: &SecretsManager, operation: &str, body: Value, code: &str) {
        let error = manager
            .handle(operation, &body, Timestamp::UNIX_EPOCH)
            .unwrap_err();
        assert_eq!(error.code, code, "{}", error.message);
    }

    #[test]
    fn a_secret_of_the_template_is_found_by_name_and_by_arn() {
        let manager = manager();
        let by_name = call(
            &manager,
            "GetSecretValue",
            json!({"SecretId": "zupy-secrets"}),
        );
        assert_eq!(by_name["SecretString"], "first");
        assert_eq!(by_name["VersionStages"], json!(["AWSCURRENT"]));
        let by_arn = call(
            &manager,
            "GetSecretValue",
            json!({"SecretId": by_name["ARN"]}),
        );
        assert_eq!(by_arn, by_name);
    }

    #[test]
    fn names_and_values_have_limits() {
        let manager = manager();
        let code = |operation, body| {
            let answer = manager.handle(operation, &body, Timestamp::UNIX_EPOCH);
            answer.map_or_else(|error| error.code, |_| "accepted".into())
        };
        for (name, expected) in [
            ("a/b_c+d=e.f@g-1", "accepted"),
            (&*"n".repeat(512), "accepted"),
            (&*"n".repeat(513), "ValidationException"),
            ("", "ValidationException"),
            ("a b", "ValidationException"),
            ("segredo-é", "ValidationException"),
        ] {
            assert_eq!(
                code("CreateSecret", json!({"Name": name})),
                expected,
                "{name}"
            );
        }
        for (key, value, expected) in [
            ("SecretString", "x".repeat(65_536), "accepted"),
            ("SecretString", "x".repeat(65_537), "ValidationException"),
            (
                "SecretBinary",
                format!("{}AA==", "AAAA".repeat(21_845)),
                "accepted",
            ),
            (
                "SecretBinary",
                format!("{}AAA=", "AAAA".repeat(21_845)),
                "ValidationException",
            ),
        ] {
            for operation in ["PutSecretValue", "UpdateSecret"] {
                let body = json!({"SecretId": "zupy-secrets", key: value});
                assert_eq!(
                    code(operation, body),
                    expected,
                    "{operation} {key} {}",
                    value.len()
                );
            }
        }
    }

    #[test]
    fn a_put_without_a_value_is_refused() {
        let manager = manager();
        for value in [
            json!({}),
            json!({"SecretString": ""}),
            json!({"SecretBinary": ""}),
        ] {
            let mut body = json!({"SecretId": "zupy-secrets"});
            body.as_object_mut()
                .unwrap()
                .extend(value.as_object().unwrap().clone());
            check_refused(&manager, "PutSecretValue", body, "InvalidRequestException");
        }
    }

    #[test]
    fn a_version_has_a_stage_of_its_own() {
        let manager = manager();
        let first = call(
            &manager,
            "GetSecretValue",
            json!({"SecretId": "zupy-secrets"}),
        );
        let second = json!({"SecretId": "zupy-secrets", "SecretString": "second"});
        call(&manager, "PutSecretValue", second);
        let get = |id: &Value, stage: &str| json!({"SecretId": "zupy-secrets", "VersionId": id, "VersionStage": stage});
        let previous = get(&first["VersionId"], "AWSPREVIOUS");
        assert_eq!(
            call(&manager, "GetSecretValue", previous)["SecretString"],
            "first"
        );
        let current = get(&first["VersionId"], "AWSCURRENT");
        check_refused(
            &manager,
            "GetSecretValue",
            current,
            "InvalidRequestException",
        );
        let absent = get(&json!("absent"), "AWSCURRENT");
        check_refused(
            &manager,
            "GetSecretValue",
            absent,
            "ResourceNotFoundException",
        );
    }

    #[test]
    fn a_new_value_makes_the_old_one_previous() {
        let manager = manager();
        for value in ["second", "third"] {
            call(
                &manager,
                "PutSecretValue",
                json!({"SecretId": "zupy-secrets", "SecretString": value}),
            );
        }
        let stage = |stage| {
            let body = json!({"SecretId": "zupy-secrets", "VersionStage": stage});
            call(&manager, "GetSecretValue", body)["SecretString"].clone()
        };
        assert_eq!(stage("AWSCURRENT"), "third");
        assert_eq!(stage("AWSPREVIOUS"), "second");
        let described = call(
            &manager,
            "DescribeSecret",
            json!({"SecretId": "zupy-secrets"}),
        );
        assert_eq!(
            described["VersionIdsToStages"].as_object().unwrap().len(),
            2
        );
    }

    #[test]
    fn a_pending_version_is_not_current() {
        let manager = manager();
        let body = json!({"SecretId": "zupy-secrets", "SecretString": "next", "VersionStages": ["AWSPENDING"]});
        let put = call(&manager, "PutSecretValue", body);
        let current = call(
            &manager,
            "GetSecretValue",
            json!({"SecretId": "zupy-secrets"}),
        );
        assert_eq!(current["SecretString"], "first");
        let body = json!({"SecretId": "zupy-secrets", "VersionId": put["VersionId"]});
        assert_eq!(
            call(&manager, "GetSecretValue", body)["SecretString"],
            "next"
        );
    }

    #[test]
    fn a_repeated_put_with_its_token_changes_nothing() {
        let manager = manager();
        let token = "t".repeat(32);
        let body = json!({"SecretId": "zupy-secrets", "SecretString": "second", "ClientRequestToken": token});
        call(&manager, "PutSecretValue", body.clone());
        call(&manager, "PutSecretValue", body);
        let previous = json!({"SecretId": "zupy-secrets", "VersionStage": "AWSPREVIOUS"});
        assert_eq!(
            call(&manager, "GetSecretValue", previous)["SecretString"],
            "first"
        );
        let other = json!({"SecretId": "zupy-secrets", "SecretString": "third", "ClientRequestToken": token});
        check_refused(&manager, "PutSecretValue", other, "ResourceExistsException");
        for wrong in ["t".repeat(31), "t".repeat(65)] {
            let body = json!({"SecretId": "zupy-secrets", "SecretString": "third", "ClientRequestToken": wrong});
            check_refused(
                &manager,
                "PutSecretValue",
                body,
                "InvalidParameterException",
            );
        }
    }

    #[test]
    fn secrets_are_created_updated_and_listed() {
        let manager = manager();
        let created = call(
            &manager,
            "CreateSecret",
            json!({"Name": "other", "SecretString": "a"}),
        );
        let updated = json!({"SecretId": created["ARN"], "SecretString": "b", "Description": "d"});
        call(&manager, "UpdateSecret", updated);
        let value = call(&manager, "GetSecretValue", json!({"SecretId": "other"}));
        assert_eq!(value["SecretString"], "b");
        let listed = call(&manager, "ListSecrets", json!({}));
        assert_eq!(listed["SecretList"][0]["Name"], "other");
        assert_eq!(listed["SecretList"][0]["Description"], "d");
        assert_eq!(listed["SecretList"][1]["Name"], "zupy-secrets");
    }

    #[test]
    fn an_absent_secret_is_refused_by_name() {
        let manager = manager();
        let absent = json!({"SecretId": "absent"});
        check_refused(
            &manager,
            "GetSecretValue",
            absent,
            "ResourceNotFoundException",
        );
        let stage = json!({"SecretId": "zupy-secrets", "VersionStage": "AWSPREVIOUS"});
        check_refused(
            &manager,
            "GetSecretValue",
            stage,
            "ResourceNotFoundException",
        );
        check_refused(
            &manager,
            "GetSecretValue",
            json!({}),
            "InvalidParameterException",
        );
        let twice = json!({"Name": "zupy-secrets", "SecretString": "a"});
        check_refused(&manager, "CreateSecret", twice, "ResourceExistsException");
        check_refused(
            &manager,
            "DeleteSecret",
            json!({}),
            "UnknownOperationException",
        );
    }
}
