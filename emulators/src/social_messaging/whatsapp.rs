//! Reads a message as Meta's Cloud API does, and refuses what Meta would refuse.

use serde_json::Value;

use crate::sent::{TemplateParameter, Whatsapp};

/// The types of messages (Cloud API reference, Messages).
const TYPES: [&str; 12] = [
    "audio",
    "contacts",
    "document",
    "image",
    "interactive",
    "location",
    "reaction",
    "sticker",
    "template",
    "text",
    "video",
    "order",
];

/// In characters (Cloud API reference, Messages).
const TEXT_MAXIMUM: usize = 4096;
const TEMPLATE_NAME_MAXIMUM: usize = 512;
const HEADER_PARAMETER_MAXIMUM: usize = 60;
const BODY_PARAMETER_MAXIMUM: usize = 32_768;
const CALLBACK_DATA_MAXIMUM: usize = 512;

/// Meta returns this field with each status of the message; here it names the event.
const CALLBACK_DATA: &str = "biz_opaque_callback_data";

#[derive(Debug)]
pub(super) struct Message {
    pub(super) to: String,
    /// The text that the person reads, as far as it is known here. A template's own text is not
    /// known.
    pub(super) text: String,
    pub(super) event: Option<String>,
    kind: String,
    template: Option<Template>,
    whole: Value,
}

#[derive(Debug)]
struct Template {
    name: String,
    language: String,
    parameters: Vec<TemplateParameter>,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// The message's problem, in Meta's words where they are known.
    pub(super) fn read(blob: &[u8]) -> Result<Message, String> {
        let whole: Value = serde_json::from_slice(blob).map_err(|problem| {
            let (line, column) = (problem.line(), problem.column());
            format!("The message is not JSON: line {line}, column {column}")
        })?;
        if text(&whole, "/messaging_product") != Some("whatsapp") {
            return Err(
                "(#100) The parameter messaging_product is required, and is whatsapp".into(),
            );
        }
        if !matches!(
            text(&whole, "/recipient_type"),
            None | Some("individual" | "group")
        ) {
            return Err("(#100) Param recipient_type must be one of {INDIVIDUAL, GROUP}".into());
        }
        let to = text(&whole, "/to").ok_or("(#100) The parameter to is required.")?;
        if !is_number(to) {
            return Err("(#131009) Parameter value is not valid: to is not a phone number".into());
        }
        let kind = match whole.get("type") {
            None | Some(Value::Null) => "text",
            Some(kind) => kind.as_str().unwrap_or_default(),
        };
        if !TYPES.contains(&kind) {
            let types = TYPES.join(", ").to_uppercase();
            return Err(format!("(#100) Param type must be one of {{{types}}}"));
        }
        let content = whole
            .get(kind)
            .filter(|content| content.is_object() || content.is_array());
        let content = content.ok_or_else(|| format!("(#100) The parameter {kind} is required."))?;
        let event = text(&whole, &format!("/{CALLBACK_DATA}"));
        if event.is_some_and(|event| event.chars().count() > CALLBACK_DATA_MAXIMUM) {
            return Err(format!(
                "(#100) Param {CALLBACK_DATA} must be at most {CALLBACK_DATA_MAXIMUM} characters \
                 long."
            ));
        }
        let template = (kind == "template").then(|| Template::read(content));
        let template = template.transpose()?;
        let shown = match (&template, kind) {
            (Some(template), _) => template.text(),
            (None, "text") => body(content)?.to_owned(),
            _ => format!("[{kind}]"),
        };
        Ok(Message {
            to: to.to_owned(),
            text: shown,
            event: event.map(str::to_owned),
            kind: kind.to_owned(),
            template,
            whole,
        })
    }

    pub(super) fn detail(self, meta_api_version: &str) -> Whatsapp {
        let (template, language, parameters) = match self.template {
            Some(template) => (
                Some(template.name),
                Some(template.language),
                template.parameters,
            ),
            None => (None, None, vec![]),
        };
        Whatsapp {
            kind: self.kind,
            template,
            language,
            parameters,
            meta_api_version: meta_api_version.to_owned(),
            message: self.whole,
        }
    }
}

fn body(content: &Value) -> Result<&str, String> {
    let body = text(content, "/body").ok_or("(#100) The parameter text['body'] is required.")?;
    if body.chars().count() > TEXT_MAXIMUM {
        return Err(format!(
            "(#100) Param text['body'] must be at most {TEXT_MAXIMUM} characters long."
        ));
    }
    Ok(body)
}

impl Template {
    fn read(content: &Value) -> Result<Template, String> {
        let name =
            text(content, "/name").ok_or("(#100) The parameter template['name'] is required.")?;
        let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.len() > TEMPLATE_NAME_MAXIMUM || !name.chars().all(is_legal) {
            return Err(
                "(#132001) Template name does not exist in the translation: a name is \
                 lower-case letters, digits and _"
                    .into(),
            );
        }
        let language = text(content, "/language/code")
            .ok_or("(#100) The parameter template['language']['code'] is required.")?;
        if !is_language(language) {
            return Err(format!(
                "(#132001) Template name does not exist in the translation: there is no language \
                 {language}"
            ));
        }
        let components = match content.get("components") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(components)) => components.as_slice(),
            Some(_) => return Err("(#100) Param template['components'] must be an array.".into()),
        };
        let mut parameters = Vec::new();
        for component in components {
            read_component(component, &mut parameters)?;
        }
        Ok(Template {
            name: name.to_owned(),
            language: language.to_owned(),
            parameters,
        })
    }

    /// The values of the template's placeholders; Meta keeps the text around them.
    fn text(&self) -> String {
        let mut lines = vec![format!("{} ({})", self.name, self.language)];
        lines.extend(self.parameters.iter().map(|parameter| {
            let TemplateParameter {
                component,
                name,
                text,
            } = parameter;
            format!("{component} {{{{{name}}}}}: {text}")
        }));
        lines.join("\n")
    }
}

fn read_component(
    component: &Value,
    parameters: &mut Vec<TemplateParameter>,
) -> Result<(), String> {
    let kind = text(component, "/type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let place = match kind.as_str() {
        "header" | "body" | "footer" => kind.clone(),
        "button" => {
            let index = match component.get("index") {
                Some(Value::String(index)) => index.clone(),
                Some(Value::Number(index)) => index.to_string(),
                _ => return Err("(#100) The parameter index of a button is required.".into()),
            };
            if text(component, "/sub_type").is_none() {
                return Err("(#100) The parameter sub_type of a button is required.".into());
            }
            format!("button {index}")
        }
        // These contain other components, or times and orders, but no text of their own.
        "carousel" | "limited_time_offer" | "order_status" => return Ok(()),
        _ => {
            return Err(format!(
                "(#100) Param template['components'][...]['type'] must be one of {{HEADER, BODY, \
                 BUTTON, ...}}, is {kind:?}"
            ));
        }
    };
    let given = match component.get("parameters") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(given)) => given.as_slice(),
        Some(_) => {
            return Err(format!(
                "(#100) Param parameters of the {place} must be an array."
            ));
        }
    };
    for (index, parameter) in given.iter().enumerate() {
        let name = text(parameter, "/parameter_name");
        let name = name.map_or_else(|| (index + 1).to_string(), str::to_owned);
        let text = filling(parameter, &place, &name)?;
        parameters.push(TemplateParameter {
            component: place.clone(),
            name,
            text,
        });
    }
    Ok(())
}

/// The value of the placeholder.
fn filling(parameter: &Value, place: &str, name: &str) -> Result<String, String> {
    let wrong = |what: &str| format!("(#131008) Parameter {name} of the {place} {what}");
    let kind = text(parameter, "/type").ok_or_else(|| wrong("has no type"))?;
    let pointers: &[&str] = match kind {
        "text" => &["/text"],
        "payload" => &["/payload"],
        "coupon_code" => &["/coupon_code"],
        "currency" => &["/currency/fallback_value"],
        "date_time" => &["/date_time/fallback_value"],
        "image" => &["/image/link", "/image/id"],
        "video" => &["/video/link", "/video/id"],
        "document" => &["/document/link", "/document/id"],
        "location" => &["/location/name"],
        "action" => return Ok(parameter["action"].to_string()),
        other => return Err(wrong(&format!("is of the unknown type {other}"))),
    };
    let filling = pointers.iter().find_map(|pointer| text(parameter, pointer));
    let filling = filling.ok_or_else(|| wrong("is required"))?;
    if kind == "text" {
        check_text(filling, place)
            .map_err(|problem| format!("(#132018) Parameter {name} of the {place} {problem}"))?;
    }
    Ok(filling.to_owned())
}

fn check_text(filling: &str, place: &str) -> Result<(), String> {
    let longest = match place {
        "header" => HEADER_PARAMETER_MAXIMUM,
        _ => BODY_PARAMETER_MAXIMUM,
    };
    if filling.chars().count() > longest {
        return Err(format!("is longer than {longest} characters"));
    }
    if filling.contains(['\n', '\r', '\t']) || filling.contains("     ") {
        return Err(
            "cannot have new-line/tab characters or more than 4 consecutive spaces".to_owned(),
        );
    }
    Ok(())
}

/// A number with or without a plus, and with the usual separators between digits.
fn is_number(to: &str) -> bool {
    let to = to.strip_prefix('+').unwrap_or(to);
    let digits = to.bytes().filter(u8::is_ascii_digit).count();
    (7..=15).contains(&digits)
        && to
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b" -().".contains(&byte))
}

/// For instance `pt_BR`, `en`, `fil`.
fn is_language(code: &str) -> bool {
    let (language, country) = code.split_once('_').unwrap_or((code, "BR"));
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    let text = value.pointer(pointer)?.as_str();
    text.filter(|text| !text.is_empty())
}
