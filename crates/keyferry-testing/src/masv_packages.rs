//! Uploads and downloads files through the sandbox's API without keyferry, to prepare and to check
//! what a program under test transfers.

use std::collections::BTreeMap;

use keyferry_sandbox::{Sandbox, credentials as c};
use serde_json::{Value, json};

use crate::http::{self, HttpResponse, parse, send_bytes};

/// The files of a package: path, name and content.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Returns the files of a package, as a recipient of a link gets them.
pub fn download(sandbox: &Sandbox, package: &str) -> Files {
    let link = link_to(sandbox, package);
    let (id, secret) = (link["id"].as_str().unwrap(), secret_of(&link));
    let opened = http::get(
        sandbox.masv_url(),
        &format!("/v1/links/{id}?secret={secret}"),
        &[],
    );
    let token = opened.text("package_token");
    let get = |path: &str| {
        let headers = [("X-Package-Token", token.as_str())];
        ok(http::get(sandbox.masv_url(), path, &headers))
    };
    let files = get(&format!("/v1/packages/{package}/files")).json();
    let content = |file: &Value| {
        let id = file["id"].as_str().unwrap();
        let path = format!("/v1/packages/{package}/files/{id}/download");
        let (base, path) = split(&get(&path).text("url"));
        ok(http::get(&base, &path, &[])).body
    };
    let path = |file: &Value| match (file["path"].as_str(), file["name"].as_str()) {
        (Some("") | None, Some(name)) => name.to_owned(),
        (Some(path), Some(name)) => format!("{path}/{name}"),
        (_, None) => panic!("a file has no name: {file}"),
    };
    let files = files.as_array().unwrap().iter();
    files.map(|file| (path(file), content(file))).collect()
}

/// Uploads files to a new package, and returns a link to it.
pub fn upload(sandbox: &Sandbox, files: &[(&str, &[u8])]) -> String {
    let description = json!({"name": "test", "description": "", "recipients": []});
    let path = format!("/v1/teams/{}/packages", c::TEAM_ID);
    let headers = [("X-API-KEY", c::API_KEY)];
    let created = http::post(sandbox.masv_url(), &path, &headers, &description);
    let (package, token) = (created.text("id"), created.text("access_token"));
    let post = |path: &str, body: &Value| {
        let headers = [("X-Package-Token", token.as_str())];
        let path = format!("/v1/packages/{package}{path}");
        ok(http::post(sandbox.masv_url(), &path, &headers, body)).json()
    };
    for (name, content) in files {
        let (path, name) = name.rsplit_once('/').unwrap_or(("", name));
        upload_file(&post, path, name, content);
    }
    post("/finalize", &json!({}));
    let link = link_to(sandbox, &package);
    format!(
        "https://get.massive.io/{}?secret={}",
        link["id"].as_str().unwrap(),
        secret_of(&link)
    )
}

fn upload_file(post: &impl Fn(&str, &Value) -> Value, path: &str, name: &str, content: &[u8]) {
    let description = json!({"kind": "file", "name": name, "path": path, "last_modified": "2026-01-01T00:00:00Z"});
    let created = post("/files", &description);
    let file = created["file"]["id"].as_str().unwrap();
    let started = send_blueprint(&created["create_blueprint"], b"");
    let text = String::from_utf8(started.body).unwrap();
    let upload_id = text.split("<UploadId>").nth(1).unwrap();
    let upload_id = upload_id.split('<').next().unwrap();
    let parts = post(
        &format!("/files/{file}?start=0&count=1"),
        &json!({"upload_id": upload_id}),
    );
    let sent = send_blueprint(&parts[0], content);
    let chunks = json!([{"part_number": "1", "etag": sent.header("ETag").unwrap()}]);
    let finalize = json!({
        "size": content.len(), "chunk_size": content.len().max(1),
        "file_extras": {"upload_id": upload_id}, "chunk_extras": chunks,
    });
    post(&format!("/files/{file}/finalize"), &finalize);
}

fn send_blueprint(blueprint: &Value, content: &[u8]) -> HttpResponse {
    let (base, path) = split(blueprint["url"].as_str().unwrap());
    let head = format!(
        "{} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        blueprint["method"].as_str().unwrap(),
        content.len()
    );
    ok(parse(send_bytes(
        &base,
        &[head.as_bytes(), content].concat(),
    )))
}

/// Creates a link to a package of the first team.
fn link_to(sandbox: &Sandbox, package: &str) -> Value {
    let path = format!("/v1.1/teams/{}/packages/{package}", c::TEAM_ID);
    let found = ok(http::get(
        sandbox.masv_url(),
        &path,
        &[("X-API-KEY", c::API_KEY)],
    ));
    let token = found.text("access_token");
    let path = format!("/v1/packages/{package}/links");
    let headers = [("X-Package-Token", token.as_str())];
    ok(http::post(
        sandbox.masv_url(),
        &path,
        &headers,
        &json!({"email": ""}),
    ))
    .json()
}

fn secret_of(link: &Value) -> &str {
    link["download_secret"].as_str().unwrap()
}

/// Splits a URL into the base URL and the path with the query.
fn split(url: &str) -> (String, String) {
    let start = url.find("://").unwrap() + 3;
    let end = start + url[start..].find('/').unwrap();
    (url[..end].to_owned(), url[end..].to_owned())
}

fn ok(response: HttpResponse) -> HttpResponse {
    let text = String::from_utf8_lossy(&response.body);
    assert!(
        (200..300).contains(&response.status),
        "{}: {text}",
        response.status
    );
    response
}
