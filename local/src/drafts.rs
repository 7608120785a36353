//! Shows what a sandbox or test event would have sent, in the form of a sent message. The draft is
//! in its task's record.

use serde_json::{Map, Value, json};

/// The draft in a row of the events table, in the form of a sent message. The field `would_be`
/// marks it as a draft.
pub(crate) fn draft(row: &Value) -> Option<Value> {
    let draft: Value = serde_json::from_str(row["would_send"].as_str()?).ok()?;
    let (event, record) = row["entry"].as_str()?.split_once('/')?;
    let (channel, detail) = match record.rsplit('/').next()? {
        "email" => ("email", json!({})),
        "whatsapp" => ("whatsapp", whatsapp(&draft)),
        "sms" => ("sms", Value::Null),
        "forward" => ("game-server", request(&draft)),
        // Other records belong to no message.
        _ => return None,
    };
    let body = detail["body"].as_str();
    let mut message = json!({
        "channel": channel,
        "from": "",
        "to": draft["to"].as_str().or(draft["url"].as_str()),
        "subject": draft["subject"],
        "text": draft["text"].as_str().or(body),
        "html": draft["html"],
        "event": format!("{}/{event}", row["coupon"].as_str()?),
        "message_id": "",
        "at": row["finished_at"],
        "would_be": true,
    });
    message[channel] = detail;
    Some(message)
}

fn whatsapp(draft: &Value) -> Value {
    let parameters = draft["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<_> = (1..)
        .zip(parameters)
        .map(
            |(number, text)| json!({"component": "body", "name": number.to_string(), "text": text}),
        )
        .collect();
    json!({
        "type": "template",
        "template": draft["template"],
        "language": draft["language"],
        "parameters": parameters,
    })
}

fn request(draft: &Value) -> Value {
    json!({
        "method": "POST",
        "url": draft["url"],
        // Headers would show the time of sending.
        "headers": Map::new(),
        "body": draft["body"].to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(record: &str, would_send: &Value) -> Option<Value> {
        draft(&json!({
            "coupon": "zupy#comp#CP-1",
            "entry": format!("redeemed/delivery/{record}"),
            "finished_at": "2026-11-22T10:00:00Z",
            "would_send": would_send.to_string(),
        }))
    }

    #[test]
    fn a_draft_has_the_form_of_a_sent_message() {
        let mail = json!({"to": "a@example.com", "subject": "S", "text": "T", "html": "<p>T</p>"});
        let mail = check("email", &mail).unwrap();
        assert_eq!(mail["event"], "zupy#comp#CP-1/redeemed");
        let shown = ["channel", "to", "subject", "text", "html", "at"].map(|name| &mail[name]);
        let expected = [
            "email",
            "a@example.com",
            "S",
            "T",
            "<p>T</p>",
            "2026-11-22T10:00:00Z",
        ];
        assert_eq!(shown, expected.map(Value::from).each_ref());
        assert_eq!(mail["would_be"], true);

        let whatsapp =
            json!({"to": "+55", "template": "t", "language": "pt_BR", "parameters": ["a", "b"]});
        let whatsapp = check("whatsapp", &whatsapp).unwrap();
        let parameters = &whatsapp["whatsapp"]["parameters"];
        assert_eq!(
            parameters[1],
            json!({"component": "body", "name": "2", "text": "b"})
        );
        let text = check("sms", &json!({"to": "+55", "text": "T"})).unwrap();
        assert_eq!(text["text"], "T");
        let forwarded =
            json!({"url": "https://game.example.com/x", "body": {"type": "coupon.redeemed"}});
        let forwarded = check("forward", &forwarded).unwrap();
        assert_eq!(forwarded["channel"], "game-server");
        assert_eq!(forwarded["text"], r#"{"type":"coupon.redeemed"}"#);
        assert_eq!(forwarded["game-server"]["url"], forwarded["to"]);
    }

    #[test]
    fn other_rows_have_no_draft() {
        assert_eq!(check("grant", &json!({"items": []})), None);
        assert_eq!(draft(&json!({"coupon": "c", "entry": "redeemed"})), None);
        let broken = json!({"coupon": "c", "entry": "redeemed/delivery/sms", "would_send": "{"});
        assert_eq!(draft(&broken), None);
    }
}
