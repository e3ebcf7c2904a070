//! Leads a request to its service: counts it, finds the fault that hits it, and carries it out.

use crate::faults::{self, Fault};
use crate::request::SandboxRequest;
use crate::response::Response;
use crate::service::Service;
use crate::state::{SandboxState, Shared};
use crate::{agent, fileverbs, masv};

/// Counts a request that arrived and finds the fault that hits it, if any.
pub(crate) fn receive(shared: &Shared, call: &SandboxRequest) -> Option<Fault> {
    shared.with(|state| {
        count_arrival(state, call);
        let fault = faults::take(&mut state.faults, call)?;
        state.count("faults_hit");
        Some(fault)
    })
}

/// Lets the service carry the request out.
pub(crate) fn handle(shared: &Shared, call: &SandboxRequest) -> Response {
    shared.with(|state| match call.service {
        Service::Masv => masv::routes::handle(state, call),
        Service::Agent => agent::routes::handle(state, call),
        Service::FileVerbs => fileverbs::routes::handle(state, call),
    })
}

fn count_arrival(state: &mut SandboxState, call: &SandboxRequest) {
    state.count("requests");
    state.count(&format!("requests_{}", call.service.name()));
    let counter = match call.service {
        Service::Masv => masv::routes::counter(call),
        Service::Agent => agent::routes::counter(call),
        Service::FileVerbs => fileverbs::routes::counter(call, &state.settings),
    };
    if let Some(counter) = counter {
        state.count(counter);
    }
    state.remember(call);
}
