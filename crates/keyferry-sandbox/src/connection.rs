//! A client's TCP connection, plain or TLS, which faults can break.
//!
//! A fault can reset the connection, or send raw bytes instead of the response. hyper can do
//! neither: it writes only well-formed responses.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// How a fault breaks a connection. The request's handler sets it, and the connection carries it
/// out.
#[derive(Default)]
pub(crate) struct ConnectionFault {
    reset_on_drop: bool,
    raw_output: Option<RawOutput>,
}

/// Bytes to send instead of hyper's output, and how many of them have been sent.
struct RawOutput {
    bytes: Vec<u8>,
    written: usize,
}

impl ConnectionFault {
    /// Makes the connection end with a TCP reset when it is dropped.
    pub(crate) fn reset_on_drop(&mut self) {
        self.reset_on_drop = true;
    }

    /// Sends these bytes and discards everything that hyper writes from now on.
    pub(crate) fn replace_output(&mut self, bytes: Vec<u8>) {
        self.raw_output = Some(RawOutput { bytes, written: 0 });
    }
}

/// The stream of a connection: plain or TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A client's connection, which hyper reads and writes.
pub(crate) struct Connection {
    stream: Stream,
    connection_fault: Arc<Mutex<ConnectionFault>>,
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> (Connection, Arc<Mutex<ConnectionFault>>) {
        let connection_fault = Arc::new(Mutex::new(ConnectionFault::default()));
        (
            Connection {
                stream,
                connection_fault: Arc::clone(&connection_fault),
            },
            connection_fault,
        )
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.connection_fault.lock().reset_on_drop {
            let socket = match &self.stream {
                Stream::Plain(socket) => socket,
                Stream::Tls(stream) => stream.get_ref().0,
            };
            // If this fails, the connection closes normally. A client must survive that too.
            let _ = socket.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let connection = self.get_mut();
        let mut connection_fault = connection.connection_fault.lock();
        let Some(raw_output) = connection_fault.raw_output.as_mut() else {
            return connection.stream.poll_write(cx, bytes);
        };
        while raw_output.written < raw_output.bytes.len() {
            match connection
                .stream
                .poll_write(cx, &raw_output.bytes[raw_output.written..])
            {
                Poll::Ready(Ok(count)) => raw_output.written += count,
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
