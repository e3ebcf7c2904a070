//! Scripted faults, and which request each one hits: the first that matches and has hits left.
//!
//! `fault_json` reads them from JSON; `apply_fault` carries them out.

use std::time::Duration;

use crate::request::SandboxRequest;
use crate::service::Service;

/// What happens to a request that a fault hits.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultAction {
    /// Nothing: for a fault that is latency or `Date` skew alone.
    Nothing,
    /// Another status with a body of this kind; the request isn't carried out.
    Status {
        /// Status to answer.
        status: u16,
        /// Kind of its body.
        body: BodyKind,
    },
    /// A whole response, literally; the request isn't carried out.
    Literal {
        /// Status to answer.
        status: u16,
        /// Value of `Content-Type`.
        media_type: String,
        /// The body.
        body: String,
    },
    /// A redirect; the request isn't carried out.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Value of `Location`.
        to: String,
    },
    /// 200 with an empty body, though the request was carried out.
    Empty,
    /// The true response's first half under its whole length, then the connection closes.
    Half,
    /// The true response with all field names in upper case.
    WrongCase,
    /// The body `null`.
    Null,
    /// The true response with each field of another type.
    WrongTypes,
    /// An object of this many bytes with one long `token`.
    Huge(u64),
    /// `token` is this many arrays within each other.
    Deep(u32),
    /// A body that never ends, in chunks.
    Endless,
    /// The true response, one byte each interval.
    Drip(Duration),
    /// The true response with another value in each token field; it may hold CR, LF or NUL.
    Token(String),
    /// These bytes in place of the response, status line included, then the connection closes.
    Raw(Vec<u8>),
    /// The connection closes before a response; the request isn't carried out.
    Close,
    /// The connection is reset before a response; the request isn't carried out.
    Reset,
    /// The request **is** carried out, then the connection closes without a response.
    Lost,
    /// The request is read and never answered.
    Hang,
}

/// Kind of the body of a faulty status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// The service's own error document.
    Json,
    /// A page of a proxy.
    Html,
    /// None.
    Empty,
}

/// A fault: where, how often, and what.
#[derive(Clone, Debug)]
pub struct Fault {
    service: Option<Service>,
    method: Option<String>,
    path: Option<String>,
    times: Option<u64>,
    skip: u64,
    pub(crate) latency: Duration,
    pub(crate) retry_after: Option<String>,
    pub(crate) date_skew_s: i64,
    pub(crate) action: FaultAction,
}

impl Fault {
    /// A fault that hits the next request, whatever it is; narrow it with the methods below.
    pub fn new(action: FaultAction) -> Fault {
        Fault {
            service: None,
            method: None,
            path: None,
            times: Some(1),
            skip: 0,
            latency: Duration::ZERO,
            retry_after: None,
            date_skew_s: 0,
            action,
        }
    }

    /// A status with a JSON error body.
    pub fn status(status: u16) -> Fault {
        Fault::new(FaultAction::Status {
            status,
            body: BodyKind::Json,
        })
    }

    /// Latency and nothing else, in real time.
    pub fn slow(latency: Duration) -> Fault {
        Fault::new(FaultAction::Nothing).latency(latency)
    }

    /// Only this service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Fault {
        self.service = Some(service);
        self
    }

    /// Only this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Fault {
        self.method = Some(method.to_owned());
        self
    }

    /// Only paths that begin so; with a `?` in it, path and query.
    #[must_use]
    pub fn path(mut self, prefix: &str) -> Fault {
        self.path = Some(prefix.to_owned());
        self
    }

    /// This many requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Fault {
        self.times = Some(times);
        self
    }

    /// Every request, until the faults are cleared.
    #[must_use]
    pub fn forever(mut self) -> Fault {
        self.times = None;
        self
    }

    /// Lets this many matching requests pass first.
    #[must_use]
    pub fn skip(mut self, skip: u64) -> Fault {
        self.skip = skip;
        self
    }

    /// Waits before anything else, in real time.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Fault {
        self.latency = latency;
        self
    }

    /// Adds `Retry-After` with this text, sensible or not.
    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Fault {
        self.retry_after = Some(value.to_owned());
        self
    }

    /// Moves the response's `Date`, and nothing else, by this much.
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

/// Finds the first fault that matches a request and uses up one hit of it.
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
