//! `keyferry get`, as build tools call it.

use std::io::Write;
use std::process::Stdio;

use keyferry_sandbox::credentials as c;
use serde_json::{Value, json};

use crate::programs::KEYFERRY;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::http;

fn get(harness: &Harness, arguments: &[&str], input: &str) -> ProgramOutput {
    run_with_input(
        &mut harness.program(KEYFERRY, &[&["get"], arguments].concat()),
        input,
    )
}

fn object(output: &ProgramOutput) -> Value {
    assert_eq!(
        (output.code, output.err.as_str()),
        (Some(0), ""),
        "{output:?}"
    );
    serde_json::from_str(&output.out).unwrap()
}

#[test]
fn headers_and_their_end_are_told() {
    let harness = Harness::watching_arguments();
    let uri = format!(
        "{}/v1/packages/{}/files",
        harness.sandbox().masv_url(),
        c::PACKAGE_ID
    );
    let input = json!({ "uri": uri, "unheard": { "of": [1, null] } }).to_string();
    let answer = object(&get(&harness, &[], &input));
    let value = answer["headers"]["X-Package-Token"][0].as_str().unwrap();
    let path = format!("/v1/packages/{}/files", c::PACKAGE_ID);
    assert_eq!(
        http::get(
            harness.sandbox().masv_url(),
            &path,
            &[("X-Package-Token", value)]
        )
        .status,
        200
    );
    let expires = answer["expires"].as_str().unwrap();
    assert!(
        expires.len() == 20 && expires.ends_with('Z') && expires.as_bytes()[10] == b'T',
        "{expires}"
    );
    let without = object(&get(
        &harness,
        &["--no-expires", "further", "words"],
        &input,
    ));
    assert!(without.get("expires").is_none() && without["headers"].is_object());
    let grpc = input.replace("http://", "grpc://");
    assert!(object(&get(&harness, &[], &grpc))["headers"]["X-Package-Token"].is_array());
}

#[test]
fn no_headers_are_needed_for_what_is_not_ours() {
    let harness = Harness::watching_arguments();
    let agent = format!("{}/api/v1/login", harness.sandbox().agent_url());
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
        assert_eq!(
            object(&get(&harness, &[], &json!({ "uri": uri }).to_string())),
            json!({ "headers": {} }),
            "{uri}"
        );
    }
    assert_eq!(harness.sandbox().count("requests"), 0);
}

#[test]
fn the_answer_comes_while_the_pipe_is_open() {
    let harness = Harness::watching_arguments();
    let uri = format!("{}/api/v1/fileuploads", harness.sandbox().fileverbs_url());
    let mut child = harness
        .program(KEYFERRY, &["get"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Nothing reads what follows the object.
    write!(stdin, "{{\"x\":\"\\ud800\",\"uri\":\"{uri}\"}} more").unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["headers"]["Authorization"].is_array());
}

#[test]
fn what_can_not_be_answered_is_an_error_and_no_output() {
    let harness = Harness::watching_arguments();
    let long = json!({ "uri": "https://a.example", "x": "a".repeat(70_000) }).to_string();
    for input in [
        "",
        "null",
        "[]",
        "{}",
        "{\"uri\":1}",
        "{\"url\":\"https://a.example\"}",
        "{\"uri\":\"https://a",
        "\u{feff}{}",
        &long,
    ] {
        get(&harness, &[], input).assert_error(1, "cannot answer the request");
    }
    let ours = format!("{}/api/v1/fileuploads", harness.sandbox().fileverbs_url());
    for input in [
        json!({ "uri": "user" }).to_string(),
        json!({ "uri": "" }).to_string(),
        format!("{{\"uri\":\"https://a.example\",\"uri\":\"{ours}\"}}"),
        format!("{{\"uri\":\"{ours}\",\"URI\":\"https://a.example\"}}"),
        format!("{{\" uri\":\"{ours}\"}}"),
        format!("{{\"\u{feff}uri\":\"{ours}\"}}"),
        format!("{{\"uri\":\"{ours}\",\"x\":[{{}}, \"}}\"],\"u\\u0072i\":\"{ours}\"}}"),
    ] {
        get(&harness, &[], &input).assert_error(1, "cannot answer the request");
    }
    assert_eq!(harness.sandbox().count("requests"), 0);
    let nested = format!(
        "{{\"x\":{{\"uri\":1}},\"y\":[\"uri\"],\"z\":\"\\\"uri\\\":\",\"uri\":\"{ours}\"}}"
    );
    assert!(object(&get(&harness, &[], &nested))["headers"]["Authorization"].is_array());
    for uri in [
        "http://127.0.0.1/%0a",
        "https://u:p@a.example/",
        "https://a.example/\r\nx",
    ] {
        let output = get(&harness, &[], &json!({ "uri": uri }).to_string());
        assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{uri}");
        output.assert_no_secrets();
    }
    let wrong = format!("{}/api/v1/fileuploads", harness.sandbox().fileverbs_url());
    let output = run_with_input(
        harness
            .program(KEYFERRY, &["get"])
            .env("KEYFERRY_FILEVERBS_API_KEY", "x"),
        &json!({ "uri": wrong }).to_string(),
    );
    output.assert_error(3, "rejected");
}
