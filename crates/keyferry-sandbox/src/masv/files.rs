//! The files of a package: added, uploaded to the storage in parts, finalized and downloaded.
//!
//! The caller has already checked the package token.

use serde_json::{Value, json};

use super::data::{FileContent, PackageFile};
use crate::checks;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;
use crate::storage::data::{SAMPLE_KEY, Upload};
use crate::storage::etag;

/// The highest number of a part, as in S3.
const MAX_PARTS: u32 = 10_000;

/// The largest part, as in S3: 5 GiB.
const MAX_PART_BYTES: u64 = 5 << 30;

/// A part as the client reports it when it finalizes a file.
struct ReportedPart {
    number: u32,
    etag: String,
}

/// `POST /files`: adds a file. The response tells how to start the upload of its content.
pub(crate) fn add(
    state: &mut SandboxState,
    request: &SandboxRequest,
    package: &str,
) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let id = state.masv.new_id("F1LE");
    let file = PackageFile {
        id: id.clone(),
        name: text("name").map(str::to_owned),
        path: text("path").unwrap_or_default().to_owned(),
        size: 0,
        content: FileContent::Missing,
    };
    let created = file_json(&file);
    if let Some(package) = state.masv.packages.get_mut(package) {
        package.files.push(file);
    }
    let url = state.storage.signed_url(
        "POST",
        &object_key(package, &id),
        "uploads=",
        request.now_ms,
    );
    Ok(Response::json(
        201,
        json!({
            "file": created,
            "create_blueprint": {"method": "POST", "url": url, "headers": {"Content-Type": "application/octet-stream"}},
            "max_chunks_count": MAX_PARTS, "max_chunk_size": MAX_PART_BYTES, "min_chunk_size": state.settings.min_chunk_size,
        }),
    ))
}

/// `GET /files`: all files of a package.
pub(crate) fn list(state: &SandboxState, package: &str) -> Value {
    let package = state.masv.packages.get(package);
    let files = package.map(|package| package.files.as_slice());
    files.unwrap_or_default().iter().map(file_json).collect()
}

fn file_json(file: &PackageFile) -> Value {
    let state = match file.content {
        FileContent::Missing => "new",
        FileContent::Uploaded | FileContent::Sample => "finalized",
    };
    let name = file
        .name
        .clone()
        .unwrap_or_else(|| format!("{}.mov", file.id));
    json!({"id": file.id, "name": name, "path": file.path, "size": file.size, "state": state})
}

/// `POST /files/{id}?start=S&count=N`: the signed URLs of the parts from S + 1 to S + N.
pub(crate) fn sign_parts(
    state: &mut SandboxState,
    request: &SandboxRequest,
    package: &str,
    file: &str,
) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let found = find(state, package, file)?;
    if found.content != FileContent::Missing {
        return match request.query_value("count") {
            None => Ok(Response::ok(json!({"id": file}))),
            Some(_) => Err(refuse(state, "the file is already finalized")),
        };
    }
    let number = |name: &str| {
        request
            .query_value(name)
            .and_then(|value| value.parse::<u32>().ok())
    };
    let (Some(start), Some(count)) = (number("start"), number("count")) else {
        return Err(refuse(
            state,
            "the query needs `start` and `count`, as in ?start=0&count=3; the first part has the start 0",
        ));
    };
    let end = start
        .checked_add(count)
        .filter(|end| *end <= MAX_PARTS)
        .ok_or_else(|| {
            refuse(
                state,
                &format!("a file has at most {MAX_PARTS} parts; send larger parts"),
            )
        })?;
    let key = object_key(package, file);
    let upload_id = document.get("upload_id").and_then(Value::as_str);
    let upload_id = require_upload(state, upload_id, "upload_id", &key)?;
    let blueprint = |number: u32| {
        let fields = format!("uploadId={upload_id}&partNumber={number}");
        let url = state
            .storage
            .signed_url("PUT", &key, &fields, request.now_ms);
        json!({"method": "PUT", "url": url, "headers": {}})
    };
    Ok(Response::ok((start + 1..=end).map(blueprint).collect()))
}

/// `POST /files/{id}/finalize`: checks the reported parts and makes the file complete.
pub(crate) fn finalize(
    state: &mut SandboxState,
    request: &SandboxRequest,
    package: &str,
    file: &str,
) -> Result<Response, Response> {
    let document = checks::json_object(state, request)?;
    let found = find(state, package, file)?;
    if found.content != FileContent::Missing {
        // A client that didn't receive the response repeats the request.
        return Ok(Response::ok(file_json(found)));
    }
    let key = object_key(package, file);
    let upload_id = document
        .pointer("/file_extras/upload_id")
        .and_then(Value::as_str);
    let upload_id = require_upload(state, upload_id, "file_extras.upload_id", &key)?;
    let checked = match state.storage.upload(&upload_id, &key) {
        Some(upload) => check_parts(upload, &document, state.settings.min_chunk_size),
        None => Err("the upload is gone".to_owned()),
    };
    let size = checked.map_err(|reason| refuse(state, &reason))?;
    state.storage.complete_upload(&upload_id, &key);
    let files = state.masv.packages.get_mut(package);
    let mut files = files.into_iter().flat_map(|package| &mut package.files);
    let Some(found) = files.find(|one| one.id == file) else {
        return Err(Response::masv_error(404, "file not found"));
    };
    found.size = size;
    found.content = FileContent::Uploaded;
    Ok(Response::ok(file_json(found)))
}

/// `GET /files/{id}/download`: a signed URL of the storage that serves the file.
pub(crate) fn download(
    state: &SandboxState,
    request: &SandboxRequest,
    package: &str,
    file: &str,
) -> Result<Response, Response> {
    let found = find(state, package, file)?;
    let is_finalized = state
        .masv
        .packages
        .get(package)
        .is_some_and(|package| package.state == "finalized");
    let key = match found.content {
        _ if !is_finalized => return Err(Response::masv_error(410, "package is not available")),
        FileContent::Missing => return Err(Response::masv_error(410, "file is not finalized")),
        FileContent::Sample => SAMPLE_KEY.to_owned(),
        FileContent::Uploaded => object_key(package, file),
    };
    let url = state.storage.signed_url(
        "GET",
        &key,
        "response-cache-control=no-store",
        request.now_ms,
    );
    Ok(Response::ok(json!({"url": url})))
}

/// Refuses to finalize a package while the content of a file is missing. A file without a name
/// needs none: a test that checks only the credential of a route adds it with the body `{}`.
pub(crate) fn require_all_finalized(
    state: &mut SandboxState,
    package: &str,
) -> Result<(), Response> {
    let package = state.masv.packages.get(package);
    let mut files = package.into_iter().flat_map(|package| &package.files);
    let missing = files.find(|file| file.content == FileContent::Missing && file.name.is_some());
    let Some(file) = missing else {
        return Ok(());
    };
    let message = format!(
        "the file {} ({}) is not finalized; upload it and finalize it first",
        file.id,
        file.name.as_deref().unwrap_or_default()
    );
    Err(refuse(state, &message))
}

/// Returns the key of a file's object in the storage.
fn object_key(package: &str, file: &str) -> String {
    format!("{package}/{file}")
}

fn find<'a>(
    state: &'a SandboxState,
    package: &str,
    file: &str,
) -> Result<&'a PackageFile, Response> {
    let package = state.masv.packages.get(package);
    let mut files = package.into_iter().flat_map(|package| &package.files);
    files
        .find(|one| one.id == file)
        .ok_or_else(|| Response::masv_error(404, "file not found"))
}

/// Counts a refusal and returns a 400 response.
fn refuse(state: &mut SandboxState, reason: &str) -> Response {
    state.count("bad_upload");
    Response::masv_error(400, reason)
}

/// Returns the id of an upload that was started for this object. `field` is where the client has
/// to send it.
fn require_upload(
    state: &mut SandboxState,
    id: Option<&str>,
    field: &str,
    key: &str,
) -> Result<String, Response> {
    let Some(id) = id else {
        return Err(refuse(
            state,
            &format!("the body needs `{field}`, the UploadId in the response of the storage"),
        ));
    };
    if state.storage.upload(id, key).is_none() {
        return Err(refuse(
            state,
            &format!(
                "`{field}` is not an upload of this file; send the UploadId in the response of the storage"
            ),
        ));
    }
    Ok(id.to_owned())
}

/// Compares the parts that the client reports with the parts that the storage has. Returns the
/// size of the file, or the reason why it can't be finalized.
fn check_parts(upload: &Upload, document: &Value, min_part_bytes: u64) -> Result<u64, String> {
    let reported = document
        .get("chunk_extras")
        .and_then(Value::as_array)
        .ok_or("the body needs `chunk_extras`, an array with one object for each part")?;
    for (reported, expected) in reported.iter().zip(1..) {
        let ReportedPart { number, etag } = reported_part(reported)?;
        if number != expected {
            return Err(format!(
                "`chunk_extras` has part {number} in the place of part {expected}; list the parts 1, 2, 3 … in this order"
            ));
        }
        let stored = upload
            .parts
            .get(&number)
            .ok_or_else(|| format!("part {number} was not uploaded"))?;
        if etag::unquoted(&etag) != stored.etag {
            return Err(format!(
                "part {number} has another ETag; send the ETag in the response of the storage to this part"
            ));
        }
    }
    if upload.parts.len() > reported.len() {
        return Err(format!(
            "the storage has {} parts, but `chunk_extras` lists {}",
            upload.parts.len(),
            reported.len()
        ));
    }
    check_sizes(upload, document, min_part_bytes)
}

fn check_sizes(upload: &Upload, document: &Value, min_part_bytes: u64) -> Result<u64, String> {
    let stored = upload.parts.values().map(|part| part.size()).sum();
    match document.get("size").and_then(Value::as_u64) {
        Some(size) if size == stored => {}
        Some(size) => {
            return Err(format!(
                "`size` is {size}, but the uploaded parts have {stored} bytes"
            ));
        }
        None => {
            return Err("the body needs `size`, the size of the file as a number of bytes".into());
        }
    }
    let chunk_size = match document.get("chunk_size") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            value
                .as_u64()
                .ok_or("`chunk_size` must be a number of bytes")?,
        ),
    };
    let last = upload.parts.keys().next_back().copied();
    for (number, part) in &upload.parts {
        let size = part.size();
        if chunk_size.is_some_and(|chunk_size| size > chunk_size)
            || (Some(*number) != last && chunk_size.is_some_and(|chunk_size| size != chunk_size))
        {
            return Err(format!(
                "part {number} has {size} bytes, but `chunk_size` is {}; only the last part may be shorter",
                chunk_size.unwrap_or_default()
            ));
        }
        if Some(*number) != last && size < min_part_bytes {
            return Err(format!(
                "part {number} has {size} bytes; every part but the last needs at least {min_part_bytes}"
            ));
        }
    }
    Ok(stored)
}

/// Reads one element of `chunk_extras`. Clients write the number as `part_number` or `partNumber`,
/// as a string or a number.
fn reported_part(element: &Value) -> Result<ReportedPart, String> {
    let number = element
        .get("part_number")
        .or_else(|| element.get("partNumber"))
        .ok_or("each element of `chunk_extras` needs `part_number`")?;
    let number = match number {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    let number = number.ok_or("`part_number` must be a number")?;
    let etag = element
        .get("etag")
        .and_then(Value::as_str)
        .ok_or_else(|| format!("part {number} in `chunk_extras` needs `etag`"))?;
    Ok(ReportedPart {
        number,
        etag: etag.to_owned(),
    })
}
