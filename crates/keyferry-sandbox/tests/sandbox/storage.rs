//! The object storage: uploads in the shape that MASV's clients expect, downloads, the limit, and
//! everything that it refuses.

use std::io::Write;

use keyferry_sandbox::{Fault, FaultAction, Sandbox, credentials as c};
use serde_json::{Value, json};

use crate::tokens::*;
use crate::upload_clients::*;

const CHUNK: usize = 1000;

/// A sandbox that takes parts of any size.
fn storage() -> Sandbox {
    let sandbox = sandbox();
    sandbox.configure("min_chunk_size", json!(1));
    sandbox
}

/// A file that was added to a new package, with a started upload.
struct Started<'a> {
    package: Package<'a>,
    file: String,
    upload_id: String,
}

fn started(sandbox: &Sandbox) -> Started<'_> {
    let package = Package::create(sandbox);
    let added = package.add_file(&json!({"kind": "file", "name": "a.mov", "path": ""}));
    let upload_id = start_upload(&added["create_blueprint"], UploadId::ThirdChild);
    let file = added["file"]["id"].as_str().unwrap().to_owned();
    Started {
        package,
        file,
        upload_id,
    }
}

impl Started<'_> {
    /// The signed URL of part `number`.
    fn part_url(&self, number: u64) -> String {
        let parts = self.package.part_urls(&self.file, &self.upload_id, number);
        let blueprint = parts.as_array().unwrap().last().unwrap();
        blueprint["url"].as_str().unwrap().to_owned()
    }

    fn finalize(&self, body: &Value) -> HttpResponse {
        let path = format!("/files/{}/finalize", self.file);
        self.package.post(&path, body)
    }

    /// A complete body for [`finalize`](Self::finalize) after two parts of 4 and 2 bytes.
    fn two_parts(&self) -> Value {
        let etags = ["four", "2b"].iter().zip(1..).map(|(bytes, number)| {
            let etag = send_part("PUT", &self.part_url(number), &[], bytes.as_bytes()).etag();
            json!({"part_number": number, "etag": etag})
        });
        json!({
            "size": 6, "chunk_size": 4, "chunk_extras": etags.collect::<Value>(),
            "file_extras": {"upload_id": self.upload_id},
        })
    }
}

#[test]
fn public_clients_upload_and_download_the_same_bytes() {
    let content: Vec<u8> = (0..2 * CHUNK + 17)
        .map(|index| (index % 251) as u8)
        .collect();
    for client in CLIENTS {
        for content in [&content[..], &content[..CHUNK], b"x", b""] {
            let sandbox = storage();
            let package = Package::create(&sandbox);
            package.upload(&client, "a.mov", content, CHUNK);
            let finalized = package.post("/finalize", &json!(""));
            assert_eq!(finalized.text("state"), "finalized", "{client:?}");
            let link = package.post("/links", &json!({"email": "", "password": ""}));
            let (package_id, token) = open_link(&sandbox, &link);
            let files = get(
                sandbox.masv_url(),
                &format!("/v1/packages/{package_id}/files"),
                &[("X-Package-Token", &token)],
            )
            .json();
            assert_eq!(
                (&files[0]["name"], &files[0]["size"]),
                (&json!("a.mov"), &json!(content.len()))
            );
            let file = files[0]["id"].as_str().unwrap();
            let url = download_url(&sandbox, &package_id, file, &token);
            let served = get_url(&url, &[]);
            assert_eq!((served.status, &served.body[..]), (200, content));
        }
    }
}

#[test]
fn the_blueprints_have_the_documented_shape() {
    let sandbox = sandbox();
    let package = Package::create(&sandbox);
    let added = package.add_file(&json!({"kind": "file", "name": "a.mov", "path": "/reels", "last_modified": "2026-07-01T12:00:00"}));
    let create = &added["create_blueprint"];
    assert_eq!(
        (&create["method"], &added["min_chunk_size"]),
        (&json!("POST"), &json!(5_242_880))
    );
    assert!(create["headers"].is_object() && added["max_chunks_count"].is_u64());
    let url = create["url"].as_str().unwrap();
    assert!(url.starts_with(sandbox.storage_url()) && !url.starts_with(sandbox.masv_url()));
    let document = text(&request_url("POST", url, &[], b""));
    let (id, key) = (
        between(&document, "<UploadId>", "</UploadId>"),
        between(&document, "<Key>", "</Key>"),
    );
    let exact = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>keyferry-sandbox</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\n"
    );
    assert_eq!(
        document,
        format!("{exact}<UploadId xmlns=\"\">{id}</UploadId>\n</InitiateMultipartUploadResult>")
    );
    sandbox.configure("plain_upload_id", json!(false));
    let document = text(&request_url("POST", url, &[], b""));
    assert_eq!(document.matches("UploadId").count(), 2);
    let file = added["file"]["id"].as_str().unwrap();
    let parts = package.part_urls(file, &id, 3);
    let numbers: Vec<_> = parts
        .as_array()
        .unwrap()
        .iter()
        .map(|part| {
            assert_eq!(part["method"], "PUT");
            between(part["url"].as_str().unwrap(), "&partNumber=", "&")
        })
        .collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    let later = package
        .post(
            &format!("/files/{file}?start=7&count=1"),
            &json!({"upload_id": id}),
        )
        .json();
    assert_eq!(
        between(later[0]["url"].as_str().unwrap(), "&partNumber=", "&"),
        "8"
    );
}

#[test]
fn a_part_that_is_sent_again_replaces_the_first_one() {
    let sandbox = storage();
    let started = started(&sandbox);
    let body = started.two_parts();
    let other = send_part("PUT", &started.part_url(1), &[], b"4444").etag();
    assert_ne!(body["chunk_extras"][0]["etag"], json!(other));
    assert_eq!(started.finalize(&body).status, 400);
    assert_eq!(
        send_part("PUT", &started.part_url(1), &[], b"four").status,
        200
    );
    assert_eq!(started.finalize(&body).status, 200);
    // A client that lost the response repeats the request.
    assert_eq!(started.finalize(&body).text("state"), "finalized");
    let urls = started.package.post(
        &format!("/files/{}?start=0&count=1", started.file),
        &json!({"upload_id": started.upload_id}),
    );
    assert!(text(&urls).contains("already finalized"), "{}", text(&urls));
}

/// A change of the body of [`Started::two_parts`].
type Change = fn(&mut Value);

/// Changes that make the body wrong, and a part of the reason.
const WRONG_BODIES: [(Change, &str); 16] = [
    (
        |body| body["size"] = json!(7),
        "`size` is 7, but the uploaded parts have 6 bytes",
    ),
    (|body| body["size"] = json!("6"), "needs `size`"),
    (|body| body["size"] = json!(-6), "needs `size`"),
    (
        |body| body["chunk_size"] = json!(5),
        "part 1 has 4 bytes, but `chunk_size` is 5",
    ),
    (|body| body["chunk_size"] = json!(1), "`chunk_size` is 1"),
    (
        |body| body["chunk_size"] = json!("4"),
        "`chunk_size` must be a number",
    ),
    (
        |body| body["chunk_extras"] = json!({}),
        "needs `chunk_extras`",
    ),
    (
        |body| body["chunk_extras"] = json!([]),
        "has 2 parts, but `chunk_extras` lists 0",
    ),
    (
        |body| body["chunk_extras"][0] = json!([]),
        "needs `part_number`",
    ),
    (
        |body| body["chunk_extras"][0]["part_number"] = json!("one"),
        "`part_number` must be a number",
    ),
    (
        |body| body["chunk_extras"][0]["etag"] = json!("\"0\""),
        "part 1 has another ETag",
    ),
    (
        |body| body["chunk_extras"][1]["etag"] = json!(7),
        "part 2 in `chunk_extras` needs `etag`",
    ),
    (
        |body| body["chunk_extras"].as_array_mut().unwrap().reverse(),
        "has part 2 in the place of part 1",
    ),
    (
        |body| {
            body["chunk_extras"]
                .as_array_mut()
                .unwrap()
                .push(json!({"partNumber": 3, "etag": ""}))
        },
        "part 3 was not uploaded",
    ),
    (
        |body| body["file_extras"] = json!({"upload_id": "undefined"}),
        "is not an upload of this file",
    ),
    (
        |body| body["file_extras"] = json!(null),
        "needs `file_extras.upload_id`",
    ),
];

#[test]
fn a_wrong_list_of_parts_is_refused_with_its_reason() {
    let sandbox = storage();
    let started = started(&sandbox);
    let right = started.two_parts();
    for (change, reason) in WRONG_BODIES {
        let mut body = right.clone();
        change(&mut body);
        let refused = started.finalize(&body);
        assert_eq!(refused.status, 400, "{reason}");
        assert!(
            refused.text("message").contains(reason),
            "{}",
            text(&refused)
        );
    }
    let unfinished = started.package.post("/finalize", &json!({}));
    assert_eq!(unfinished.status, 400);
    assert!(
        unfinished
            .text("message")
            .contains("(a.mov) is not finalized")
    );
    sandbox.configure("min_chunk_size", json!(5));
    let short = started.finalize(&right);
    assert!(
        short
            .text("message")
            .contains("part 1 has 4 bytes; every part but the last needs at least 5")
    );
    sandbox.configure("min_chunk_size", json!(4));
    assert_eq!(started.finalize(&right).status, 200);
    assert_eq!(started.package.post("/finalize", &json!({})).status, 200);
    assert_eq!(sandbox.count("bad_upload"), WRONG_BODIES.len() as u64 + 2);
}

#[test]
fn urls_of_parts_need_a_range_and_the_upload_of_this_file() {
    let sandbox = storage();
    let (one, other) = (started(&sandbox), started(&sandbox));
    for (query, upload_id, reason) in [
        ("", json!(one.upload_id), "`start` and `count`"),
        ("?start=0", json!(one.upload_id), "`start` and `count`"),
        (
            "?start=-1&count=1",
            json!(one.upload_id),
            "`start` and `count`",
        ),
        (
            "?start=0&count=10001",
            json!(one.upload_id),
            "at most 10000 parts",
        ),
        (
            "?start=4294967295&count=4294967295",
            json!(one.upload_id),
            "at most 10000 parts",
        ),
        ("?start=0&count=1", json!(null), "needs `upload_id`"),
        (
            "?start=0&count=1",
            json!(other.upload_id),
            "not an upload of this file",
        ),
    ] {
        let path = format!("/files/{}{query}", one.file);
        let refused = one.package.post(&path, &json!({"upload_id": upload_id}));
        assert_eq!(refused.status, 400, "{query}");
        assert!(
            refused.text("message").contains(reason),
            "{}",
            text(&refused)
        );
    }
    assert_eq!(
        one.package
            .post("/files/nothing?start=0&count=1", &json!({}))
            .status,
        404
    );
}

#[test]
fn the_storage_refuses_every_credential() {
    let sandbox = storage();
    let started = started(&sandbox);
    let url = started.part_url(1);
    for name in [
        "X-API-KEY",
        "X-User-Token",
        "X-Package-Token",
        "X-Transfer-Token",
        "X-Link-Password",
        "SecretKey",
        "Authorization",
        "Cookie",
    ] {
        let refused = send_part("PUT", &url, &[(name, "Bearer a=b")], b"bytes");
        assert_eq!(refused.status, 400, "{name}");
        assert!(
            text(&refused).contains(&format!("without the header {name}")),
            "{}",
            text(&refused)
        );
    }
    assert_eq!(sandbox.count("storage_credential"), 8);
    assert_eq!(send_part("PUT", &url, &[], b"bytes").status, 200);
    // Nothing of a refused request is kept.
    assert_eq!(sandbox_storage(&sandbox)["used_bytes"], 5);
}

#[test]
fn the_storage_refuses_urls_that_it_did_not_sign() {
    let (sandbox, other) = (storage(), storage());
    let (one, foreign) = (started(&sandbox), started(&other));
    let url = one.part_url(2);
    let foreign_url = foreign
        .part_url(2)
        .replace(other.storage_url(), sandbox.storage_url());
    for (method, url) in [
        ("PUT", url.replace("partNumber=2", "partNumber=3")),
        ("PUT", url.replace(&one.file, "other")),
        ("PUT", url.replace("uploadId=", "uploadId=a")),
        ("PUT", url.replace("&expires=", "&expires=9")),
        ("PUT", url.replace("&signature=", "&signature=00")),
        ("PUT", url.split("&signature=").next().unwrap().to_owned()),
        (
            "PUT",
            url.split("&signature=").next().unwrap().to_owned() + "&signature=zz",
        ),
        ("PUT", url.split('?').next().unwrap().to_owned()),
        ("PUT", foreign_url),
        ("GET", url.clone()),
        ("POST", url.clone()),
    ] {
        let refused = request_url(method, &url, &[], b"bytes");
        assert_eq!(refused.status, 403, "{method} {url}");
        assert!(
            text(&refused).contains("SignatureDoesNotMatch"),
            "{}",
            text(&refused)
        );
    }
    assert_eq!(sandbox.count("bad_storage_url"), 11);
    assert_eq!(request_url("DELETE", &url, &[], b"").status, 405);
    assert_eq!(get(sandbox.storage_url(), "/", &[]).status, 404);
    sandbox
        .clock()
        .advance(std::time::Duration::from_secs(3600));
    assert!(text(&request_url("PUT", &url, &[], b"bytes")).contains("this URL has expired"));
}

#[test]
fn a_url_of_a_finished_upload_is_of_no_use() {
    let sandbox = storage();
    let started = started(&sandbox);
    let url = started.part_url(1);
    let body = started.two_parts();
    assert_eq!(started.finalize(&body).status, 200);
    let late = send_part("PUT", &url, &[], b"late");
    assert_eq!(late.status, 404);
    assert!(text(&late).contains("NoSuchUpload"));
    // Deleting the package frees the bytes.
    assert_eq!(sandbox_storage(&sandbox)["used_bytes"], 6);
    assert_eq!(started.package.send("DELETE", "", "").status, 204);
    assert_eq!(sandbox_storage(&sandbox)["used_bytes"], 0);
}

#[test]
fn the_limit_is_told_and_nothing_of_the_refused_part_is_kept() {
    let sandbox = storage();
    sandbox.configure("storage_limit_bytes", json!(10_000));
    let started = started(&sandbox);
    let url = started.part_url(1);
    assert_eq!(send_part("PUT", &url, &[], &[1; 6000]).status, 200);
    // Larger than a socket's buffers: the client reads only after it has sent everything.
    let refused = send_part("PUT", &started.part_url(2), &[], &vec![2; 8 << 20]);
    assert_eq!(refused.status, 400);
    let message = text(&refused);
    for fact in [
        "EntityTooLarge",
        "at most 10000 bytes",
        "6000 of them are in use",
        "`storage_limit_bytes`",
    ] {
        assert!(message.contains(fact), "{message}");
    }
    assert_eq!(sandbox.count("storage_full"), 1);
    assert_eq!(sandbox_storage(&sandbox)["used_bytes"], 6000);
    assert_eq!(
        send_part("PUT", &started.part_url(2), &[], &[3; 4000]).status,
        200
    );
    sandbox.configure("storage_limit_bytes", json!(20_000));
    assert_eq!(
        send_part("PUT", &started.part_url(3), &[], &[4; 10_000]).status,
        200
    );
    post(
        sandbox.masv_url(),
        "/sandbox/reset",
        &[],
        &json!({"all": true}),
    );
    let emptied = sandbox_storage(&sandbox);
    assert_eq!(
        (&emptied["used_bytes"], &emptied["limit_bytes"]),
        (&json!(0), &json!(1 << 30))
    );
    assert_eq!(emptied["url"], sandbox.storage_url());
}

#[test]
fn a_part_needs_a_length() {
    let sandbox = storage();
    let started = started(&sandbox);
    let (base, path) = split_url(&started.part_url(1));
    let chunked = request("PUT", &path, &[], "")
        .replace("Content-Length: 0", "Transfer-Encoding: chunked")
        + "4\r\nfour\r\n0\r\n\r\n";
    let refused = parse(send_bytes(&base, chunked.as_bytes()));
    assert_eq!(refused.status, 411);
    assert!(text(&refused).contains("does not accept chunked bodies"));
    assert_eq!(sandbox.count("missing_length"), 1);
    assert_eq!(sandbox_storage(&sandbox)["used_bytes"], 0);
}

#[test]
fn a_client_that_disconnects_gives_its_bytes_back() {
    let sandbox = storage();
    let started = started(&sandbox);
    let (base, path) = split_url(&started.part_url(1));
    let head =
        request("PUT", &path, &[], "").replace("Content-Length: 0", "Content-Length: 900000");
    let mut stream = connect(&base);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[1; 50_000]).unwrap();
    // The next connection is accepted after the first one, so the bytes have been counted or not.
    assert!(sandbox_storage(&sandbox)["used_bytes"].as_u64() <= Some(50_000));
    drop(stream);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while sandbox_storage(&sandbox)["used_bytes"] != 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "the bytes stay in use"
        );
    }
}

#[test]
fn a_download_takes_a_range() {
    let sandbox = storage();
    let started = started(&sandbox);
    let body = started.two_parts(); // "four" and "2b"
    started.finalize(&body);
    started.package.post("/finalize", &json!({}));
    let link = started.package.post("/links", &json!({}));
    let (package, token) = open_link(&sandbox, &link);
    let url = download_url(&sandbox, &package, &started.file, &token);
    for (range, status, bytes, content_range) in [
        ("bytes=0-1", 206, "fo", Some("bytes 0-1/6")),
        ("bytes=2-4", 206, "ur2", Some("bytes 2-4/6")),
        ("bytes=4-", 206, "2b", Some("bytes 4-5/6")),
        ("bytes=-3", 206, "r2b", Some("bytes 3-5/6")),
        ("bytes=0-99", 206, "four2b", Some("bytes 0-5/6")),
        ("bytes=nonsense", 200, "four2b", None),
    ] {
        let served = get_url(&url, &[("Range", range)]);
        assert_eq!(
            (served.status, text(&served).as_str()),
            (status, bytes),
            "{range}"
        );
        assert_eq!(served.header("content-range").as_deref(), content_range);
        assert_eq!(
            served.header("content-length"),
            Some(bytes.len().to_string())
        );
        assert_eq!(served.header("accept-ranges").as_deref(), Some("bytes"));
    }
    let beyond = get_url(&url, &[("Range", "bytes=6-")]);
    assert_eq!(
        (
            beyond.status,
            beyond.header("content-range").unwrap().as_str()
        ),
        (416, "bytes */6")
    );
    let etag = get_url(&url, &[]).header("etag").unwrap();
    let resume = |etag: &str| get_url(&url, &[("Range", "bytes=4-"), ("If-Range", etag)]).status;
    assert_eq!((resume(&etag), resume("\"old\"")), (206, 200));
    // The signed URL is for the storage alone.
    assert_eq!(get_url(&url, &[("X-Package-Token", &token)]).status, 400);
}

#[test]
fn a_file_is_served_once_it_and_its_package_are_final() {
    let sandbox = storage();
    let started = started(&sandbox);
    let link = started.package.post("/links", &json!({}));
    let (package, token) = open_link(&sandbox, &link);
    let path = format!("/v1/packages/{package}/files/{}/download", started.file);
    let status = || get(sandbox.masv_url(), &path, &[("X-Package-Token", &token)]).status;
    assert_eq!(status(), 410);
    let body = started.two_parts();
    started.finalize(&body);
    assert_eq!(status(), 410);
    started.package.post("/finalize", &json!({}));
    assert_eq!(status(), 200);
}

#[test]
fn the_sandboxs_own_packages_have_a_file_with_content() {
    let sandbox = sandbox();
    let token = read_token(&sandbox);
    let url = download_url(&sandbox, c::PACKAGE_ID, c::FILE_ID, &token);
    let served = get_url(&url, &[]);
    assert_eq!((served.status, served.body.len()), (200, 4096));
    assert!(served.body.starts_with(b"This is the sample file"));
}

#[test]
fn the_control_route_tells_what_is_stored() {
    let sandbox = storage();
    let started = started(&sandbox);
    let body = started.two_parts();
    let stored = sandbox_storage(&sandbox);
    let key = format!("{}/{}", started.package.id, started.file);
    assert_eq!(stored["uploads"][0]["upload_id"], started.upload_id);
    assert_eq!(stored["uploads"][0]["key"], key);
    assert_eq!(stored["uploads"][0]["parts"][1]["size"], 2);
    started.finalize(&body);
    let stored = sandbox_storage(&sandbox);
    assert_eq!(stored["uploads"], json!([]));
    let objects = stored["objects"].as_array().unwrap();
    let object = objects.iter().find(|object| object["key"] == key).unwrap();
    assert_eq!((&object["size"], &object["parts"]), (&json!(6), &json!(2)));
    // It answers on the storage's own port too.
    assert_eq!(
        get(sandbox.storage_url(), "/sandbox/storage", &[]).json(),
        stored
    );
}

#[test]
fn faults_hit_the_storage_and_the_upload_can_be_repeated() {
    let sandbox = storage();
    let started = started(&sandbox);
    let url = started.part_url(1);
    let fault = |action| Fault::new(action).service(keyferry_sandbox::Service::Storage);
    sandbox.fault(
        Fault::status(503)
            .service(keyferry_sandbox::Service::Storage)
            .method("PUT"),
    );
    let refused = send_part("PUT", &url, &[], b"four");
    assert_eq!(refused.status, 503);
    assert!(text(&refused).contains("<Error>"));
    sandbox.fault(fault(FaultAction::Reset));
    assert_eq!(send_part("PUT", &url, &[], b"four").status, 0);
    assert_eq!(sandbox_storage(&sandbox)["used_bytes"], 0);
    let body = started.two_parts();
    started.finalize(&body);
    started.package.post("/finalize", &json!({}));
    let link = started.package.post("/links", &json!({}));
    let (package, token) = open_link(&sandbox, &link);
    let url = download_url(&sandbox, &package, &started.file, &token);
    sandbox.fault(fault(FaultAction::Half));
    let half = get_url(&url, &[]);
    assert_eq!(
        (half.header("content-length").as_deref(), &half.body[..]),
        (Some("6"), &b"fou"[..])
    );
    assert_eq!(get_url(&url, &[("Range", "bytes=3-")]).body, b"r2b");
}

#[test]
fn a_body_that_is_too_large_for_a_service_is_refused_with_its_reason() {
    let sandbox = sandbox();
    let body = format!("{{\"email\": \"{}\"}}", "a".repeat(17 << 20));
    for (base, path) in [
        (sandbox.masv_url(), "/v1/auth"),
        (sandbox.agent_url(), "/api/v1/login"),
        (sandbox.fileverbs_url(), "/api/v1/accounts/access-token"),
    ] {
        let refused = send(base, "POST", path, &[], &body);
        assert_eq!(refused.status, 413);
        assert!(text(&refused).contains("larger than 16 MiB"));
    }
    assert_eq!(sandbox.count("body_too_large"), 3);
}

#[test]
fn hostile_requests_leave_the_storage_alive() {
    let sandbox = storage();
    let started = started(&sandbox);
    let (base, path) = split_url(&started.part_url(1));
    let huge = request("PUT", &path, &[], "")
        .replace("Content-Length: 0", "Content-Length: 18446744073709551615");
    let bad_chunks = request("PUT", &path, &[], "")
        .replace("Content-Length: 0", "Transfer-Encoding: chunked")
        + "ffffffffffffffff\r\nabc";
    let long = format!(
        "PUT /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(100_000)
    );
    for bytes in [&huge[..], &bad_chunks, &long, "PUT\r\n\r\n", "\0\0\0\0"] {
        let mut stream = connect(&base);
        stream.write_all(bytes.as_bytes()).unwrap();
        drop(stream);
    }
    for path in [
        "/keyferry-sandbox/",
        "/keyferry-sandbox/../../etc/passwd",
        "/%00",
        "/keyferry-sandbox/a?%ff&signature=",
    ] {
        assert!(matches!(get(&base, path, &[]).status, 400..=404), "{path}");
    }
    let body = started.two_parts();
    assert_eq!(started.finalize(&body).status, 200);
}
