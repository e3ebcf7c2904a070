//! FileVerbs' uploads: keeps the documents that a client sends as a form, lists and serves them.
//!
//! FileVerbs doesn't document how a client gets an uploaded document back. The sandbox serves it at
//! `GET /fileuploads/{id}`.

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::data::UploadedFile;
use crate::budget::Reservation;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;

/// Id of the first uploaded document. Document 1 is the sandbox's own.
const FIRST_ID: usize = 2;

/// `GET /fileuploads`: the sandbox's own document, which has no content, and the uploaded ones.
pub(crate) fn list(state: &SandboxState) -> Response {
    let own = json!({"Id": 1, "FileName": "contract.docx"});
    let uploaded = state.fileverbs.uploads.iter().zip(FIRST_ID..);
    let uploaded = uploaded.map(|(file, id)| file_json(id, file));
    Response::ok(std::iter::once(own).chain(uploaded).collect())
}

/// `POST /fileuploads/upload`: keeps the document in a form. A body that is not a form, as a test
/// of the credential alone sends it, has no document.
pub(crate) fn keep(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<Response, Response> {
    let Some(boundary) = form_boundary(request) else {
        return Ok(Response::ok(json!({"Id": 2, "FileName": "upload.docx"})));
    };
    let Some((name, content)) = first_file(&request.body, &boundary) else {
        state.count("bad_document");
        return Err(Response::fileverbs_message(
            400,
            "the form has no file: it needs a part with a `filename`, and the boundary of the Content-Type",
        ));
    };
    let mut reservation = Reservation::empty(&state.storage.budget);
    if !reservation.grow(content.len()) {
        state.count("storage_full");
        let message = state.storage.full_message();
        return Err(Response::fileverbs_message(413, &message));
    }
    let file = UploadedFile {
        name,
        content: Bytes::copy_from_slice(content),
        _reservation: reservation,
    };
    let id = FIRST_ID + state.fileverbs.uploads.len();
    let created = file_json(id, &file);
    state.fileverbs.uploads.push(file);
    Ok(Response::ok(created))
}

/// `GET /fileuploads/{id}`: the content of an uploaded document.
pub(crate) fn serve(state: &SandboxState, id: &str) -> Result<Response, Response> {
    let index = id.parse::<usize>().ok();
    let index = index.and_then(|id| id.checked_sub(FIRST_ID));
    let file = index.and_then(|index| state.fileverbs.uploads.get(index));
    let file = file.ok_or_else(|| Response::fileverbs_message(404, "Not found"))?;
    Ok(Response::object(200, vec![file.content.clone()]))
}

fn file_json(id: usize, file: &UploadedFile) -> Value {
    json!({"Id": id, "FileName": file.name, "Size": file.content.len()})
}

/// Returns the boundary of a form, or `None` if the body isn't a form.
fn form_boundary(request: &SandboxRequest) -> Option<String> {
    let content_type = request.header("content-type")?;
    let mut fields = content_type.split(';').map(str::trim);
    if !fields.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = fields.find_map(|field| field.strip_prefix("boundary="));
    Some(boundary.unwrap_or_default().trim_matches('"').to_owned())
}

/// Returns the name and content of the first file in a form.
fn first_file<'a>(body: &'a [u8], boundary: &str) -> Option<(String, &'a [u8])> {
    if boundary.is_empty() {
        return None;
    }
    let (delimiter, end) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}"));
    let mut rest = body;
    loop {
        rest = after(rest, delimiter.as_bytes())?;
        let (head, content) = split(rest, b"\r\n\r\n")?;
        let (content, _) = split(content, end.as_bytes())?;
        if let Some(name) = file_name(&String::from_utf8_lossy(head)) {
            return Some((name, content));
        }
    }
}

/// Returns the `filename` in the head of a form's part.
fn file_name(head: &str) -> Option<String> {
    let (_, rest) = head.split_once("filename=\"")?;
    let (name, _) = rest.split_once('"')?;
    Some(name.to_owned())
}

fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    split(text, mark).map(|(_, rest)| rest)
}

fn split<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = text.windows(mark.len()).position(|window| window == mark)?;
    Some((&text[..start], &text[start + mark.len()..]))
}
