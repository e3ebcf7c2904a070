//! Reads the body of a request into memory, up to a limit.
//!
//! The rest of a body that is too large is read and discarded. A client that sends its whole body
//! before it reads would otherwise see a broken connection instead of the error response.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Bytes, Incoming};

use crate::budget::{Budget, Reservation};
use crate::service::Service;

/// Maximum size of a body that is not for the storage: 16 MiB.
pub(crate) const BODY_LIMIT_BYTES: usize = 16 << 20;

/// The connection is closed if the discarded part of a body is larger than this: 8 GiB.
const DISCARD_LIMIT_BYTES: u64 = 8 << 30;

/// The body of a request.
pub(crate) struct ReceivedBody {
    /// All bytes, or none if the body is too large.
    pub(crate) bytes: Bytes,
    /// The bytes' part of the storage's budget. Empty for the other services.
    pub(crate) reservation: Arc<Reservation>,
    pub(crate) is_too_large: bool,
}

/// Reads a body. Returns `None` if the client disconnects, or doesn't stop sending.
pub(crate) async fn read_body(
    service: Service,
    budget: &Arc<Budget>,
    mut body: Incoming,
) -> Option<ReceivedBody> {
    let mut received = Receiver::new(service, budget, body.size_hint().exact());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            received.push(&data)?;
        }
    }
    Some(received.finish())
}

/// The bytes of a body that have arrived.
struct Receiver {
    bytes: Vec<u8>,
    reservation: Reservation,
    uses_budget: bool,
    /// `None` as long as the body is within the limit.
    discarded: Option<u64>,
}

impl Receiver {
    fn new(service: Service, budget: &Arc<Budget>, announced: Option<u64>) -> Receiver {
        let uses_budget = service == Service::Storage;
        let limit = if uses_budget {
            budget.free_bytes()
        } else {
            BODY_LIMIT_BYTES as u64
        };
        let mut bytes = Vec::new();
        let capacity = usize::try_from(announced.unwrap_or(0).min(limit)).unwrap_or(0);
        // If this fails, `push` tries again with the bytes that really arrive.
        let _ = bytes.try_reserve_exact(capacity);
        Receiver {
            bytes,
            reservation: Reservation::empty(budget),
            uses_budget,
            discarded: None,
        }
    }

    /// Adds bytes. Returns `None` if the client doesn't stop sending.
    fn push(&mut self, data: &[u8]) -> Option<()> {
        if self.discarded.is_none() && self.has_room_for(data.len()) {
            self.bytes.extend_from_slice(data);
            return Some(());
        }
        // The request will be refused, so release the bytes that have arrived.
        self.bytes = Vec::new();
        self.reservation.release();
        let discarded = self.discarded.unwrap_or(0) + data.len() as u64;
        self.discarded = Some(discarded);
        (discarded <= DISCARD_LIMIT_BYTES).then_some(())
    }

    fn has_room_for(&mut self, count: usize) -> bool {
        let is_allowed = if self.uses_budget {
            self.reservation.grow(count)
        } else {
            self.bytes.len() + count <= BODY_LIMIT_BYTES
        };
        is_allowed && self.bytes.try_reserve(count).is_ok()
    }

    fn finish(self) -> ReceivedBody {
        ReceivedBody {
            // Without spare capacity, which the budget doesn't count.
            bytes: self.bytes.into_boxed_slice().into(),
            reservation: Arc::new(self.reservation),
            is_too_large: self.discarded.is_some(),
        }
    }
}
