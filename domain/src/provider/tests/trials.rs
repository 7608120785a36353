//! Events of a sandbox and of a test button share no key with live ones.

use super::*;

fn key(edits: &[(&str, Option<Value>)]) -> String {
    event(Aghanim, &edited(AGHANIM, edits)).key.to_string()
}

#[test]
fn a_live_event_has_another_key_than_its_sandbox_twin() {
    let sandbox = key(&[("/sandbox", Some(json!(true)))]);
    assert_ne!(sandbox, key(&[]));
    assert!(sandbox.starts_with("aghanim#gm_exTAyxPsVwh#sandbox#"));
}

#[test]
fn every_press_of_the_test_button_is_a_test_of_its_own() {
    let test = ("/trigger", Some(json!("test")));
    let first = key(std::slice::from_ref(&test));
    assert!(first.starts_with("aghanim#gm_exTAyxPsVwh#test#"));
    for (pointer, value) in [
        ("/event_id", json!("whevt_2")),
        ("/event_time", json!(1_725_549_999)),
        ("/event_data/item/quantity", json!(1)),
    ] {
        assert_ne!(key(&[test.clone(), (pointer, Some(value))]), first);
    }
    // A retry of the same webhook.
    assert_eq!(key(&[test, ("/request_id", None)]), first);
}

#[test]
fn a_sandbox_event_stays_one_however_its_mark_is_written() {
    let marked = |value: Value| {
        let event = event(Aghanim, &edited(AGHANIM, &[("/sandbox", Some(value))]));
        let warned: Vec<_> = event.warnings.into_iter().map(|it| it.problem).collect();
        (event.sandbox, warned.join(", "))
    };
    assert_eq!(marked(json!(true)), (true, String::new()));
    assert_eq!(marked(json!(false)), (false, String::new()));
    for value in [json!("true"), json!("True "), json!(1), json!("1")] {
        let warning = "must be true or false: read as true".to_owned();
        assert_eq!(marked(value), (true, warning));
    }
    for value in [json!("false"), json!("FALSE"), json!(0), json!("0")] {
        let warning = "must be true or false: read as false".to_owned();
        assert_eq!(marked(value), (false, warning));
    }
    for value in [json!("maybe"), json!(2), json!([]), json!("")] {
        let warning = "must be true or false: left out".to_owned();
        assert_eq!(marked(value), (false, warning));
    }
}
