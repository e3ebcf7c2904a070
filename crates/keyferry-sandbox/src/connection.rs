//! The stream below HTTP: plain or TLS, with two ways to break HTTP itself.
//!
//! A fault may end a connection with a reset, or put bytes of its own choice in place of the
//! answer; hyper, which writes only well-formed answers, knows nothing of either.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What a fault wants of a connection; shared by the request's handler and its stream.
#[derive(Default)]
pub(crate) struct ConnectionFault {
    reset: bool,
    raw: Option<Raw>,
}

struct Raw {
    bytes: Vec<u8>,
    written: usize,
}

impl ConnectionFault {
    /// The connection ends with a reset as soon as it is dropped.
    pub(crate) fn reset(&mut self) {
        self.reset = true;
    }

    /// These bytes go out instead of whatever is written next; then the connection closes.
    pub(crate) fn replace(&mut self, bytes: Vec<u8>) {
        self.raw = Some(Raw { bytes, written: 0 });
    }
}

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(crate) struct Wire {
    stream: Stream,
    connection_fault: Arc<Mutex<ConnectionFault>>,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> (Wire, Arc<Mutex<ConnectionFault>>) {
        let connection_fault = Arc::new(Mutex::new(ConnectionFault::default()));
        (Wire { stream, connection_fault: Arc::clone(&connection_fault) }, connection_fault)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection_fault.lock().reset {
            let socket = match &self.stream {
                Stream::Plain(socket) => socket,
                Stream::Tls(stream) => stream.get_ref().0,
            };
            // A failure leaves an orderly close, which a client must survive as well.
            let _ = socket.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl Stream {
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let mut connection_fault = wire.connection_fault.lock();
        let Some(raw) = connection_fault.raw.as_mut() else {
            return wire.stream.poll_write(cx, bytes);
        };
        while raw.written < raw.bytes.len() {
            match wire.stream.poll_write(cx, &raw.bytes[raw.written..]) {
                Poll::Ready(Ok(count)) => raw.written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
