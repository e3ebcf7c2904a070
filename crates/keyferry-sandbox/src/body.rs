//! Response bodies: complete, or broken in the ways of a failing or hostile server.
//!
//! Endless and huge bodies are generated in chunks and never held in memory as a whole.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

const CHUNK: &[u8] = &[b'a'; 16 * 1024];

/// How long to wait after the first half of a body is sent before breaking the connection.
const FLUSH_DELAY: Duration = Duration::from_millis(2);

/// The body of a response.
pub(crate) enum Body {
    /// A complete body, sent at once.
    Whole(Option<Bytes>),
    /// A complete body in several pieces, sent one after the other.
    Pieces(VecDeque<Bytes>),
    /// The first half of a body, with the `Content-Length` of the whole body. Then the connection
    /// breaks.
    Half {
        total: u64,
        first_half: Option<Bytes>,
        delay: Option<Pin<Box<Sleep>>>,
    },
    /// A JSON object with one long string in `token`. `remaining` bytes of the string have not been
    /// sent yet.
    Huge {
        total: u64,
        start: Option<Bytes>,
        remaining: u64,
        end: Option<Bytes>,
    },
    /// A JSON object with a string that never ends, sent in chunks.
    Endless { start: Option<Bytes> },
    /// A body sent one byte per interval.
    Drip {
        bytes: Bytes,
        interval: Duration,
        delay: Pin<Box<Sleep>>,
    },
}

const OBJECT_START: &[u8] = b"{\"token\":\"";
const OBJECT_END: &[u8] = b"\"}";

impl Body {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
        Body::Whole(Some(bytes.into()))
    }

    pub(crate) fn half(bytes: Bytes) -> Body {
        let first_half = bytes.slice(..bytes.len() / 2);
        // An empty body has no first half. Announce one byte, which is never sent.
        let total = (bytes.len() as u64).max(1);
        Body::Half {
            total,
            first_half: Some(first_half),
            delay: None,
        }
    }

    pub(crate) fn huge(total: u64) -> Body {
        let remaining = total.saturating_sub((OBJECT_START.len() + OBJECT_END.len()) as u64);
        let (start, end) = (
            Bytes::from_static(OBJECT_START),
            Bytes::from_static(OBJECT_END),
        );
        let total = remaining + (OBJECT_START.len() + OBJECT_END.len()) as u64;
        Body::Huge {
            total,
            start: Some(start),
            remaining,
            end: Some(end),
        }
    }

    pub(crate) fn endless() -> Body {
        Body::Endless {
            start: Some(Bytes::from_static(OBJECT_START)),
        }
    }

    pub(crate) fn drip(bytes: Bytes, interval: Duration) -> Body {
        Body::Drip {
            bytes,
            interval,
            delay: Box::pin(sleep(interval)),
        }
    }
}

type PollFrame = Poll<Option<io::Result<Frame<Bytes>>>>;

fn data_frame(bytes: Bytes) -> PollFrame {
    Poll::Ready(Some(Ok(Frame::data(bytes))))
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollFrame {
        match self.get_mut() {
            Body::Whole(bytes) => bytes.take().map_or(Poll::Ready(None), data_frame),
            Body::Pieces(pieces) => pieces.pop_front().map_or(Poll::Ready(None), data_frame),
            Body::Half {
                first_half, delay, ..
            } => poll_half(first_half, delay, cx),
            Body::Huge {
                start,
                remaining,
                end,
                ..
            } => poll_huge(start, remaining, end),
            Body::Endless { start } => {
                data_frame(start.take().unwrap_or(Bytes::from_static(CHUNK)))
            }
            Body::Drip {
                bytes,
                interval,
                delay,
            } => poll_drip(bytes, *interval, delay, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Body::Pieces(pieces) => pieces.is_empty(),
            _ => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Body::Pieces(pieces) => {
                SizeHint::with_exact(pieces.iter().map(|bytes| bytes.len() as u64).sum())
            }
            Body::Half { total, .. } | Body::Huge { total, .. } => SizeHint::with_exact(*total),
            Body::Drip { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Body::Endless { .. } => SizeHint::default(),
        }
    }
}

fn poll_half(
    first_half: &mut Option<Bytes>,
    delay: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> PollFrame {
    if let Some(bytes) = first_half.take().filter(|bytes| !bytes.is_empty()) {
        return data_frame(bytes);
    }
    // Wait before failing: hyper flushes its buffer while a body is pending, but drops the buffer
    // when a body fails.
    let delay = delay.get_or_insert_with(|| Box::pin(sleep(FLUSH_DELAY)));
    match delay.as_mut().poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(()) => Poll::Ready(Some(Err(io::Error::other(
            "the sandbox cuts the body off on purpose",
        )))),
    }
}

fn poll_huge(start: &mut Option<Bytes>, remaining: &mut u64, end: &mut Option<Bytes>) -> PollFrame {
    if let Some(start) = start.take() {
        return data_frame(start);
    }
    if *remaining == 0 {
        return end.take().map_or(Poll::Ready(None), data_frame);
    }
    let size = (CHUNK.len() as u64).min(*remaining);
    *remaining -= size;
    let size = usize::try_from(size).unwrap_or(CHUNK.len());
    data_frame(Bytes::from_static(&CHUNK[..size]))
}

fn poll_drip(
    bytes: &mut Bytes,
    interval: Duration,
    delay: &mut Pin<Box<Sleep>>,
    cx: &mut Context<'_>,
) -> PollFrame {
    if bytes.is_empty() {
        return Poll::Ready(None);
    }
    match delay.as_mut().poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(()) => {
            *delay = Box::pin(sleep(interval));
            data_frame(bytes.split_to(1))
        }
    }
}
