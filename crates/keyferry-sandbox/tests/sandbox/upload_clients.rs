//! Clients that upload as the public clients of MASV do. They differ in where they read the upload
//! id and the numbers of the parts, and in how they write the body that finalizes a file.

use keyferry_sandbox::{Sandbox, credentials as c};
use serde_json::{Value, json};

use crate::tokens::*;

/// Where a client reads the upload id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UploadId {
    /// In the third child of the document, in any namespace.
    ThirdChild,
    /// In the last element without a namespace.
    NoNamespace,
    /// In the text between the tags.
    Tags,
}

/// How a client behaves.
#[derive(Debug)]
pub(crate) struct Client {
    upload_id: UploadId,
    /// The client reads the number in the part's URL. Otherwise it counts.
    reads_part_number: bool,
    /// The name of a part's number when the file is finalized.
    number_field: &'static str,
    number_is_text: bool,
    etag_has_quotes: bool,
    sends_sizes: bool,
    /// The client sends this media type instead of the part's headers.
    part_type: Option<&'static str>,
    /// The client requests one part for an empty file. Otherwise it requests none.
    sends_empty_part: bool,
    /// The rest of the path that finalizes a file, behind the file's id.
    finalize_path: &'static str,
}

pub(crate) const CLIENTS: [Client; 3] = [
    // A script for visual effects.
    Client {
        upload_id: UploadId::ThirdChild,
        reads_part_number: true,
        number_field: "partNumber",
        number_is_text: true,
        etag_has_quotes: true,
        sends_sizes: false,
        part_type: Some("application/binary"),
        sends_empty_part: false,
        finalize_path: "]/finalize", // as published
    },
    // A plugin of an editing program.
    Client {
        upload_id: UploadId::NoNamespace,
        reads_part_number: false,
        number_field: "part_number",
        number_is_text: true,
        etag_has_quotes: true,
        sends_sizes: true,
        part_type: None,
        sends_empty_part: true,
        finalize_path: "/finalize",
    },
    // A workflow node, and a program for phones.
    Client {
        upload_id: UploadId::Tags,
        reads_part_number: false,
        number_field: "partNumber",
        number_is_text: false,
        etag_has_quotes: false,
        sends_sizes: false,
        part_type: Some("application/octet-stream"),
        sends_empty_part: true,
        finalize_path: "/finalize",
    },
];

/// A new package of the first team, with its management token.
pub(crate) struct Package<'a> {
    sandbox: &'a Sandbox,
    pub(crate) id: String,
    token: String,
}

impl<'a> Package<'a> {
    pub(crate) fn create(sandbox: &'a Sandbox) -> Package<'a> {
        let created = post(
            sandbox.masv_url(),
            &format!("/v1/teams/{}/packages", c::TEAM_ID),
            &[("X-API-KEY", c::API_KEY)],
            &json!({"name": "dailies", "description": "dailies", "recipients": [], "password": ""}),
        );
        Package {
            sandbox,
            id: created.text("id"),
            token: created.text("access_token"),
        }
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> HttpResponse {
        let path = format!("/v1/packages/{}{path}", self.id);
        let headers = [
            ("X-Package-Token", self.token.as_str()),
            ("Content-Type", "application/json"),
        ];
        send(self.sandbox.masv_url(), method, &path, &headers, body)
    }

    /// Sends a JSON document. An empty string is an empty body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> HttpResponse {
        let text = match body {
            Value::String(text) => text.clone(),
            document => document.to_string(),
        };
        self.send("POST", path, &text)
    }

    pub(crate) fn add_file(&self, body: &Value) -> Value {
        let added = self.post("/files", body);
        assert_eq!(added.status, 201, "{}", text(&added));
        added.json()
    }

    /// The blueprints of the first `count` parts.
    pub(crate) fn part_urls(&self, file: &str, upload_id: &str, count: u64) -> Value {
        let path = format!("/files/{file}?start=0&count={count}");
        let urls = self.post(&path, &json!({"upload_id": upload_id}));
        assert_eq!(urls.status, 200, "{}", text(&urls));
        urls.json()
    }

    /// Uploads a file in parts of `chunk` bytes, and finalizes the file.
    pub(crate) fn upload(&self, client: &Client, name: &str, content: &[u8], chunk: usize) {
        let mut body = json!({"kind": "file", "name": name, "path": ""});
        if client.sends_sizes {
            body["size"] = json!(content.len());
            body["chunk_size"] = json!(chunk);
        }
        let added = self.add_file(&body);
        let file = added["file"]["id"].as_str().unwrap();
        let upload_id = start_upload(&added["create_blueprint"], client.upload_id);
        let mut chunks: Vec<&[u8]> = content.chunks(chunk).collect();
        if chunks.is_empty() && client.sends_empty_part {
            chunks.push(b"");
        }
        let urls = self.part_urls(file, &upload_id, chunks.len() as u64);
        let blueprints = urls.as_array().unwrap();
        assert_eq!(blueprints.len(), chunks.len());
        let parts = blueprints.iter().zip(chunks).zip(1..);
        let extras: Value = parts
            .map(|((blueprint, bytes), number)| client.send(blueprint, bytes, number))
            .collect();
        let mut body = json!({"size": content.len(), "file_extras": {"upload_id": upload_id}, "chunk_extras": extras});
        if client.sends_sizes {
            body["chunk_size"] = json!(chunk);
        }
        let finalized = self.post(&format!("/files/{file}{}", client.finalize_path), &body);
        assert_eq!(finalized.status, 200, "{client:?}: {}", text(&finalized));
    }
}

impl Client {
    /// Sends a part and returns its element of `chunk_extras`.
    fn send(&self, blueprint: &Value, bytes: &[u8], counted: u64) -> Value {
        let url = blueprint["url"].as_str().unwrap();
        let own_type = self
            .part_type
            .map(|media_type| ("Content-Type", media_type));
        let headers: Vec<_> = own_type.into_iter().collect();
        let sent = send_part(blueprint["method"].as_str().unwrap(), url, &headers, bytes);
        assert_eq!(sent.status, 200, "{}", text(&sent));
        let number = if self.reads_part_number {
            between(url, "&partNumber=", "&").parse().unwrap()
        } else {
            counted
        };
        let etag = sent.etag();
        let etag = if self.etag_has_quotes {
            etag
        } else {
            etag.trim_matches('"').to_owned()
        };
        let number = if self.number_is_text {
            json!(number.to_string())
        } else {
            json!(number)
        };
        json!({self.number_field: number, "etag": etag})
    }
}

/// Starts an upload with the blueprint as it is, and returns the upload id.
pub(crate) fn start_upload(blueprint: &Value, way: UploadId) -> String {
    let headers = blueprint["headers"].as_object().unwrap().iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let url = blueprint["url"].as_str().unwrap();
    let started = request_url(blueprint["method"].as_str().unwrap(), url, &headers, b"");
    let document = text(&started);
    assert_eq!(started.status, 200, "{document}");
    match way {
        UploadId::ThirdChild => {
            let root = between(
                &document,
                "<InitiateMultipartUploadResult",
                "</InitiateMultipartUploadResult>",
            );
            let children: Vec<&str> = root.split("</").take(3).collect();
            let (tag, value) = children[2].rsplit_once('>').unwrap();
            assert!(tag.ends_with("<UploadId"), "{document}");
            value.to_owned()
        }
        UploadId::NoNamespace => between(&document, "<UploadId xmlns=\"\">", "</UploadId>"),
        UploadId::Tags => between(&document, "<UploadId>", "</UploadId>"),
    }
}

/// Sends a part to its URL.
pub(crate) fn send_part(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    bytes: &[u8],
) -> HttpResponse {
    request_url(method, url, headers, bytes)
}

/// The header that clients copy from a part's response.
pub(crate) trait Etag {
    fn etag(&self) -> String;
}

impl Etag for HttpResponse {
    fn etag(&self) -> String {
        let etag = self.header("ETag").unwrap();
        assert!(
            etag.len() == 34 && etag.starts_with('"') && etag.ends_with('"'),
            "{etag}"
        );
        etag
    }
}

/// Opens a link. Returns the package and its read token.
pub(crate) fn open_link(sandbox: &Sandbox, link: &HttpResponse) -> (String, String) {
    assert_eq!(link.status, 201, "{}", text(link));
    // Clients put the secret into the URL as it is.
    let path = format!(
        "/v1/links/{}?secret={}",
        link.text("id"),
        link.text("download_secret")
    );
    let opened = get(sandbox.masv_url(), &path, &[]);
    assert_eq!(opened.status, 200, "{}", text(&opened));
    (opened.text("package_id"), opened.text("package_token"))
}

/// The signed URL that serves a file.
pub(crate) fn download_url(sandbox: &Sandbox, package: &str, file: &str, token: &str) -> String {
    let path = format!("/v1/packages/{package}/files/{file}/download");
    let found = get(sandbox.masv_url(), &path, &[("X-Package-Token", token)]);
    assert_eq!(found.status, 200, "{}", text(&found));
    found.text("url")
}

/// Returns the document of the control route for the storage.
pub(crate) fn sandbox_storage(sandbox: &Sandbox) -> Value {
    get(sandbox.masv_url(), "/sandbox/storage", &[]).json()
}

pub(crate) fn get_url(url: &str, headers: &[(&str, &str)]) -> HttpResponse {
    request_url("GET", url, headers, b"")
}

/// Sends a request with these bytes to a whole URL.
pub(crate) fn request_url(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    bytes: &[u8],
) -> HttpResponse {
    let (base, path) = split_url(url);
    let head = request(method, &path, headers, "").replace(
        "Content-Length: 0",
        &format!("Content-Length: {}", bytes.len()),
    );
    parse(send_bytes(&base, &[head.as_bytes(), bytes].concat()))
}

/// Splits a URL into its origin, and path and query.
pub(crate) fn split_url(url: &str) -> (String, String) {
    let path = url.match_indices('/').nth(2).unwrap().0;
    (url[..path].to_owned(), url[path..].to_owned())
}

pub(crate) fn text(response: &HttpResponse) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

/// The text between two marks.
pub(crate) fn between(text: &str, start: &str, end: &str) -> String {
    let (_, rest) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("{start} is not in {text}"));
    rest.split(end).next().unwrap().to_owned()
}
