//! FileVerbs' uploads and job requests. The caller has already checked the credential.

use serde_json::json;

use super::uploads;
use crate::checks;
use crate::credentials as c;
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::state::SandboxState;

/// Carries out a request for uploads or job requests.
pub(crate) fn handle(
    state: &mut SandboxState,
    request: &SandboxRequest,
    rest: &[&str],
) -> Result<Response, Response> {
    let is_own =
        |state: &SandboxState, id: &str| id == c::JOB_ID || state.fileverbs.jobs.contains(id);
    match (request.method.as_str(), rest) {
        ("GET", ["fileuploads"]) => Ok(uploads::list(state)),
        ("POST", ["fileuploads", "upload"]) => uploads::keep(state, request),
        (_, ["fileuploads", "upload"]) => Err(checks::wrong_method(state, request)),
        ("GET", ["fileuploads", id]) => uploads::serve(state, id),
        ("POST", ["jobrequests"]) => {
            let id = format!(
                "5f0c1d2e-0000-4000-8000-{:012}",
                state.fileverbs.jobs.len() + 100
            );
            state.fileverbs.jobs.insert(id.clone());
            Ok(Response::json(201, json!({"Id": id, "Status": "Queued"})))
        }
        // Another account's job gets the same response as a job that doesn't exist.
        ("GET", ["jobrequests", id] | ["jobrequests", id, "outputs"]) if !is_own(state, id) => {
            state.count("foreign_job");
            Err(Response::fileverbs_message(404, "Not found"))
        }
        ("GET", ["jobrequests", id]) => Ok(Response::ok(json!({"Id": id, "Status": "Done"}))),
        ("GET", ["jobrequests", id, "outputs"]) => Ok(Response::ok(
            json!([{"JobId": id, "FileName": "contract.pdf", "Size": 4096}]),
        )),
        (_, ["fileuploads" | "jobrequests"] | ["fileuploads" | "jobrequests", _]) => {
            Err(checks::wrong_method(state, request))
        }
        _ => Err(checks::unknown_route(state, request)),
    }
}
