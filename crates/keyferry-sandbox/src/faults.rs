//! Faults that a test injects. If several faults match a request, the first one that still has uses
//! left is applied.
//!
//! `fault_json` parses faults from JSON. `apply_fault` applies them.

use std::time::Duration;

use crate::request::SandboxRequest;
use crate::service::Service;

/// The action of a fault on a request.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultAction {
    /// No change, for a fault that only adds latency, `Retry-After` or `Date` skew.
    Nothing,
    /// A response with this status and a body of this kind. The request isn't carried out.
    Status {
        /// Status of the response.
        status: u16,
        /// Kind of the body.
        body: BodyKind,
    },
    /// Exactly this response. The request isn't carried out.
    Literal {
        /// Status of the response.
        status: u16,
        /// Value of `Content-Type`.
        media_type: String,
        /// The body.
        body: String,
    },
    /// A redirect. The request isn't carried out.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Value of `Location`.
        to: String,
    },
    /// Status 200 with an empty body. The request is carried out.
    Empty,
    /// The first half of the normal response, with the `Content-Length` of the whole response. Then
    /// the connection closes.
    Half,
    /// The normal response with all field names in upper case.
    WrongCase,
    /// The normal response with the body `null`.
    Null,
    /// The normal response with a wrong type for each field.
    WrongTypes,
    /// A JSON object of this many bytes, most of them in one long `token`.
    Huge(u64),
    /// A JSON object whose `token` is this many nested arrays.
    Deep(u32),
    /// A chunked body that never ends.
    Endless,
    /// The normal response, one byte per interval.
    Drip(Duration),
    /// The normal response with this value in each token field. The value may contain CR, LF or
    /// NUL.
    Token(String),
    /// These bytes in place of the whole response, including its status line. Then the connection
    /// closes. The request isn't carried out.
    Raw(Vec<u8>),
    /// Closes the connection without a response. The request isn't carried out.
    Close,
    /// Resets the connection without a response. The request isn't carried out.
    Reset,
    /// Closes the connection without a response, but only after the request **was** carried out.
    Lost,
    /// Reads the request and never responds. The request isn't carried out.
    Hang,
}

/// The kind of body that an injected error status has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// The service's own error document.
    Json,
    /// An HTML error page, as a proxy sends it.
    Html,
    /// No body.
    Empty,
}

/// A fault: the requests that it matches, the number of its uses, and its action.
#[derive(Clone, Debug)]
pub struct Fault {
    service: Option<Service>,
    method: Option<String>,
    path: Option<String>,
    times: Option<u64>,
    skip: u64,
    every: u64,
    seen: u64,
    pub(crate) latency: Duration,
    pub(crate) retry_after: Option<String>,
    pub(crate) date_skew_s: i64,
    pub(crate) action: FaultAction,
}

impl Fault {
    /// Returns a fault that applies to the next request. The methods below restrict which requests
    /// the fault matches.
    pub fn new(action: FaultAction) -> Fault {
        Fault {
            service: None,
            method: None,
            path: None,
            times: Some(1),
            skip: 0,
            every: 1,
            seen: 0,
            latency: Duration::ZERO,
            retry_after: None,
            date_skew_s: 0,
            action,
        }
    }

    /// Returns a fault that responds with this status and a JSON error body.
    pub fn status(status: u16) -> Fault {
        Fault::new(FaultAction::Status {
            status,
            body: BodyKind::Json,
        })
    }

    /// Returns a fault that only delays the response, in real time.
    pub fn slow(latency: Duration) -> Fault {
        Fault::new(FaultAction::Nothing).latency(latency)
    }

    /// Matches only requests to this service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Fault {
        self.service = Some(service);
        self
    }

    /// Matches only requests with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Fault {
        self.method = Some(method.to_owned());
        self
    }

    /// Matches only paths that start with `prefix`. A prefix that contains `?` is compared with
    /// path and query.
    #[must_use]
    pub fn path(mut self, prefix: &str) -> Fault {
        self.path = Some(prefix.to_owned());
        self
    }

    /// Applies to this many requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Fault {
        self.times = Some(times);
        self
    }

    /// Applies to every matching request until the faults are cleared.
    #[must_use]
    pub fn forever(mut self) -> Fault {
        self.times = None;
        self
    }

    /// Lets this many matching requests pass before the fault applies.
    #[must_use]
    pub fn skip(mut self, skip: u64) -> Fault {
        self.skip = skip;
        self
    }

    /// Applies to every `every`-th matching request only. The counting begins after the requests
    /// that the fault [skips](Self::skip), and a request that an earlier fault hits is not counted.
    #[must_use]
    pub fn every(mut self, every: u64) -> Fault {
        self.every = every.max(1);
        self
    }

    /// Waits this long, in real time, before the request is handled.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Fault {
        self.latency = latency;
        self
    }

    /// Adds a `Retry-After` header with this value, which doesn't have to be valid.
    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Fault {
        self.retry_after = Some(value.to_owned());
        self
    }

    /// Moves the response's `Date` header by this many seconds. Nothing else changes.
    #[must_use]
    pub fn date_skew_s(mut self, seconds: i64) -> Fault {
        self.date_skew_s = seconds;
        self
    }

    fn matches(&self, request: &SandboxRequest) -> bool {
        let matches_prefix = |prefix: &String| {
            if prefix.contains('?') {
                request.target().starts_with(prefix)
            } else {
                request.path.starts_with(prefix)
            }
        };
        self.service
            .is_none_or(|service| service == request.service)
            && self
                .method
                .as_ref()
                .is_none_or(|method| *method == request.method)
            && self.path.as_ref().is_none_or(matches_prefix)
    }
}

/// Returns the first fault that applies to a request, and subtracts 1 from the fault's remaining
/// uses.
pub(crate) fn take_matching(faults: &mut Vec<Fault>, request: &SandboxRequest) -> Option<Fault> {
    let mut hit = None;
    for (index, fault) in faults
        .iter_mut()
        .enumerate()
        .filter(|(_, fault)| fault.matches(request))
    {
        if fault.skip > 0 {
            fault.skip -= 1;
            continue;
        }
        fault.seen += 1;
        if !fault.seen.is_multiple_of(fault.every) {
            continue;
        }
        if let Some(times) = &mut fault.times {
            if *times == 0 {
                continue;
            }
            *times -= 1;
        }
        hit = Some(index);
        break;
    }
    let index = hit?;
    let fault = faults[index].clone();
    if fault.times == Some(0) {
        faults.remove(index);
    }
    Some(fault)
}
