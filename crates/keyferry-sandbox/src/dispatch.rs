//! Passes a request to its service: counts it, finds the fault that applies, and carries it out.

use crate::faults::{self, Fault};
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::service::Service;
use crate::state::{SandboxState, Shared};
use crate::{agent, fileverbs, masv, storage};

/// Counts a request that arrived and returns the fault that applies to it, if any.
pub(crate) fn receive(shared: &Shared, request: &SandboxRequest) -> Option<Fault> {
    shared.with(|state| {
        count_arrival(state, request);
        let fault = faults::take_matching(&mut state.faults, request)?;
        state.count("faults_hit");
        Some(fault)
    })
}

/// Lets the service carry the request out.
pub(crate) fn handle(shared: &Shared, request: &SandboxRequest) -> Response {
    shared.with(|state| match request.service {
        Service::Masv => masv::routes::handle(state, request),
        Service::Agent => agent::routes::handle(state, request),
        Service::FileVerbs => fileverbs::routes::handle(state, request),
        Service::Storage => storage::routes::handle(state, request),
    })
}

fn count_arrival(state: &mut SandboxState, request: &SandboxRequest) {
    state.count("requests");
    state.count(&format!("requests_{}", request.service.name()));
    let counter = match request.service {
        Service::Masv => masv::routes::counter(request),
        Service::Agent => agent::routes::counter(request),
        Service::FileVerbs => fileverbs::routes::counter(request, &state.settings),
        Service::Storage => storage::routes::counter(request),
    };
    if let Some(counter) = counter {
        state.count(counter);
    }
    state.record_request(request);
}
