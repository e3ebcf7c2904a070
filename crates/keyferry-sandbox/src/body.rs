//! Bodies as they go over the wire: whole, or broken in each of the ways that a hostile or failing server has.
//!
//! Endless and huge bodies are made piece by piece and never stand in memory.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

const PIECE: &[u8] = &[b'a'; 16 * 1024];

/// Time for the first half of a body to leave before the connection breaks.
const FLUSH: Duration = Duration::from_millis(2);

pub(crate) enum Body {
    /// The body, at once.
    Whole(Option<Bytes>),
    /// The first half of a body whose length promises all of it; then the connection breaks.
    Half { total: u64, first: Option<Bytes>, pause: Option<Pin<Box<Sleep>>> },
    /// A JSON object with one long text in `token`, `left` bytes of it to go.
    Fill { total: u64, head: Option<Bytes>, left: u64, tail: Option<Bytes> },
    /// A JSON object whose one text never ends, in chunks.
    Endless { head: Option<Bytes> },
    /// One byte each interval.
    Drip { bytes: Bytes, interval: Duration, pause: Pin<Box<Sleep>> },
}

const HEAD: &[u8] = b"{\"token\":\"";
const TAIL: &[u8] = b"\"}";

impl Body {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
        Body::Whole(Some(bytes.into()))
    }

    pub(crate) fn half(bytes: Bytes) -> Body {
        let first = bytes.slice(..bytes.len() / 2);
        // An empty body has no half: promise a byte that never comes.
        let total = (bytes.len() as u64).max(1);
        Body::Half { total, first: Some(first), pause: None }
    }

    pub(crate) fn huge(total: u64) -> Body {
        let left = total.saturating_sub((HEAD.len() + TAIL.len()) as u64);
        let (head, tail) = (Bytes::from_static(HEAD), Bytes::from_static(TAIL));
        let total = left + (HEAD.len() + TAIL.len()) as u64;
        Body::Fill { total, head: Some(head), left, tail: Some(tail) }
    }

    pub(crate) fn endless() -> Body {
        Body::Endless { head: Some(Bytes::from_static(HEAD)) }
    }

    pub(crate) fn drip(bytes: Bytes, interval: Duration) -> Body {
        Body::Drip { bytes, interval, pause: Box::pin(sleep(interval)) }
    }
}

type Next = Poll<Option<io::Result<Frame<Bytes>>>>;

fn piece(bytes: Bytes) -> Next {
    Poll::Ready(Some(Ok(Frame::data(bytes))))
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Next {
        match self.get_mut() {
            Body::Whole(bytes) => bytes.take().map_or(Poll::Ready(None), piece),
            Body::Half { first, pause, .. } => next_of_half(first, pause, cx),
            Body::Fill { head, left, tail, .. } => next_of_fill(head, left, tail),
            Body::Endless { head } => piece(head.take().unwrap_or(Bytes::from_static(PIECE))),
            Body::Drip { bytes, interval, pause } => next_of_drip(bytes, *interval, pause, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            _ => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Body::Half { total, .. } | Body::Fill { total, .. } => SizeHint::with_exact(*total),
            Body::Drip { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Body::Endless { .. } => SizeHint::default(),
        }
    }
}

fn next_of_half(first: &mut Option<Bytes>, pause: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Next {
    if let Some(bytes) = first.take().filter(|bytes| !bytes.is_empty()) {
        return piece(bytes);
    }
    // hyper flushes what it holds when a body has to wait, and drops it when a body fails.
    let pause = pause.get_or_insert_with(|| Box::pin(sleep(FLUSH)));
    match pause.as_mut().poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(()) => Poll::Ready(Some(Err(io::Error::other("the body breaks off here on purpose")))),
    }
}

fn next_of_fill(head: &mut Option<Bytes>, left: &mut u64, tail: &mut Option<Bytes>) -> Next {
    if let Some(head) = head.take() {
        return piece(head);
    }
    if *left == 0 {
        return tail.take().map_or(Poll::Ready(None), piece);
    }
    let size = (PIECE.len() as u64).min(*left);
    *left -= size;
    let size = usize::try_from(size).unwrap_or(PIECE.len());
    piece(Bytes::from_static(&PIECE[..size]))
}

fn next_of_drip(bytes: &mut Bytes, interval: Duration, pause: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Next {
    if bytes.is_empty() {
        return Poll::Ready(None);
    }
    match pause.as_mut().poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(()) => {
            *pause = Box::pin(sleep(interval));
            piece(bytes.split_to(1))
        }
    }
}
