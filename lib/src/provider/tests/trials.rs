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
