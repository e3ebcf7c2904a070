//! `keyferry get`, as build tools call it.

use keyferry_sandbox::credentials as c;
use serde_json::{Value, json};

use crate::harness::{KEYFERRY, Said, Stage, call, say};

fn get(stage: &Stage, arguments: &[&str], input: &str) -> Said {
    say(&mut stage.program(KEYFERRY, &[&["get"], arguments].concat()), input)
}

fn object(said: &Said) -> Value {
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn headers_and_their_end_are_told() {
    let stage = Stage::set();
    let uri = format!("{}/v1/packages/{}/files", stage.sandbox.masv_url(), c::PACKAGE_ID);
    let input = json!({ "uri": uri, "unheard": { "of": [1, null] } }).to_string();
    let answer = object(&get(&stage, &[], &input));
    let value = answer["headers"]["X-Package-Token"][0].as_str().unwrap();
    let path = format!("/v1/packages/{}/files", c::PACKAGE_ID);
    assert_eq!(call(stage.sandbox.masv_url(), &path, &[("X-Package-Token", value)]), 200);
    let expires = answer["expires"].as_str().unwrap();
    assert!(expires.len() == 20 && expires.ends_with('Z') && expires.as_bytes()[10] == b'T', "{expires}");
    let without = object(&get(&stage, &["--no-expires", "further", "words"], &input));
    assert!(without.get("expires").is_none() && without["headers"].is_object());
    let grpc = input.replace("http://", "grpc://");
    assert!(object(&get(&stage, &[], &grpc))["headers"]["X-Package-Token"].is_array());
}

#[test]
fn no_headers_are_needed_for_what_is_not_ours() {
    let stage = Stage::set();
    let agent = format!("{}/api/v1/login", stage.sandbox.agent_url());
    for uri in [
        "https://bazel.build/x",
        "grpcs://remote.example/a",
        "s3://bucket/key",
        "file:///x",
        "mailto:a",
        "fileverbs:bearer",
        "masv:user",
        &agent,
    ] {
        assert_eq!(object(&get(&stage, &[], &json!({ "uri": uri }).to_string())), json!({ "headers": {} }), "{uri}");
    }
    assert_eq!(stage.sandbox.count("requests"), 0);
}

#[test]
fn what_can_not_be_answered_is_an_error_and_no_output() {
    let stage = Stage::set();
    let long = json!({ "uri": "https://a.example", "x": "a".repeat(70_000) }).to_string();
    for input in ["", "null", "[]", "{}", "{\"uri\":1}", "{\"url\":\"https://a.example\"}", "{\"uri\":\"https://a", "\u{feff}{}", &long] {
        get(&stage, &[], input).assert_sentence(1, "the request is not answered");
    }
    let ours = format!("{}/api/v1/fileuploads", stage.sandbox.fileverbs_url());
    for input in [
        json!({ "uri": "user" }).to_string(),
        json!({ "uri": "" }).to_string(),
        format!("{{\"uri\":\"https://a.example\",\"uri\":\"{ours}\"}}"),
        format!("{{\"uri\":\"{ours}\",\"x\":[{{}}, \"}}\"],\"u\\u0072i\":\"{ours}\"}}"),
    ] {
        get(&stage, &[], &input).assert_sentence(1, "the request is not answered");
    }
    assert_eq!(stage.sandbox.count("requests"), 0);
    let nested = format!("{{\"x\":{{\"uri\":1}},\"y\":[\"uri\"],\"z\":\"\\\"uri\\\":\",\"uri\":\"{ours}\"}}");
    assert!(object(&get(&stage, &[], &nested))["headers"]["Authorization"].is_array());
    for uri in ["http://127.0.0.1/%0a", "https://u:p@a.example/", "https://a.example/\r\nx"] {
        let said = get(&stage, &[], &json!({ "uri": uri }).to_string());
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{uri}");
        said.assert_harmless();
    }
    let wrong = format!("{}/api/v1/fileuploads", stage.sandbox.fileverbs_url());
    let said = say(stage.program(KEYFERRY, &["get"]).env("KEYFERRY_FILEVERBS_API_KEY", "x"), &json!({ "uri": wrong }).to_string());
    said.assert_sentence(1, "refuses");
}
