//! The server's thread: it accepts connections on the listeners and passes each request
//! through the sandbox.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::apply_fault::{self, Outcome, WireResponse};
use crate::body::Body;
use crate::clock::http_date;
use crate::connection::{Connection, ConnectionFault, Stream};
use crate::control;
use crate::dispatch;
use crate::faults::{Fault, FaultAction};
use crate::receive;
use crate::request::SandboxRequest;
use crate::service::Service;
use crate::state::Shared;

/// Length of the listen queue. Tests may connect hundreds of clients at once.
const BACKLOG: u32 = 4096;

/// The server's thread. Dropping this ends the thread and every connection.
pub(crate) struct Server {
    /// The base URL of each service, in the order of [`Service::ALL`].
    pub(crate) urls: [String; 4],
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        ports: [u16; 4],
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Server> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut bound = [0; 4];
        for ((service, port), slot) in Service::ALL.into_iter().zip(ports).zip(&mut bound) {
            let listener = listen(&runtime, port)?;
            *slot = listener.local_addr()?.port();
            runtime.spawn(accept_connections(
                listener,
                service,
                Arc::clone(shared),
                tls.clone(),
            ));
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let urls = bound.map(|port| format!("{scheme}://127.0.0.1:{port}"));
        shared.with(|state| state.storage.set_base_url(&urls[3]));
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        // The runtime is dropped when the thread ends. That closes every connection, hung ones too.
        let serve_until_stopped = move || runtime.block_on(stopped.notified());
        let thread = std::thread::Builder::new()
            .name("keyferry-sandbox".to_owned())
            .spawn(serve_until_stopped)?;
        Ok(Server {
            urls,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic was already printed, and `drop` can't report it.
            let _ = thread.join();
        }
    }
}

fn listen(runtime: &Runtime, port: u16) -> io::Result<TcpListener> {
    let _guard = runtime.enter();
    let socket = TcpSocket::new_v4()?;
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

async fn accept_connections(
    listener: TcpListener,
    service: Service,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                shared.with(|state| state.count("connections"));
                tokio::spawn(serve_connection(
                    stream,
                    service,
                    Arc::clone(&shared),
                    tls.clone(),
                ));
            }
            // No file descriptor is free. Retry, because other connections may close meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve_connection(
    socket: TcpStream,
    service: Service,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
) {
    // If this fails, responses are late but not wrong.
    let _ = socket.set_nodelay(true);
    let stream = match tls {
        None => Stream::Plain(socket),
        Some(acceptor) => match acceptor.accept(socket).await {
            Ok(stream) => Stream::Tls(Box::new(stream)),
            Err(_) => {
                shared.with(|state| state.count("tls_refused"));
                return;
            }
        },
    };
    let (connection, connection_fault) = Connection::new(stream);
    let handler = service_fn(move |request| {
        serve_request(
            Arc::clone(&shared),
            service,
            Arc::clone(&connection_fault),
            request,
        )
    });
    // An error means that the client disconnected or that a fault broke the connection.
    let _ = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(connection), handler)
        .await;
}

async fn serve_request(
    shared: Arc<Shared>,
    service: Service,
    connection_fault: Arc<Mutex<ConnectionFault>>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let broken_connection = || io::Error::other("the sandbox closes the connection on purpose");
    let (head, body) = request.into_parts();
    let body = receive::read_body(service, &shared.budget, body)
        .await
        .ok_or_else(broken_connection)?;
    let mut request = SandboxRequest::new(service, head, body);
    if let Some(response) = control::handle(&shared, &request) {
        let Outcome::Response(wire_response) =
            apply_fault::apply(service, &FaultAction::Nothing, || response)
        else {
            return Err(broken_connection());
        };
        return http_response(wire_response, shared.clock.now_unix_ms());
    }
    let fault =
        dispatch::receive(&shared, &request).unwrap_or_else(|| Fault::new(FaultAction::Nothing));
    if !fault.latency.is_zero() {
        tokio::time::sleep(apply_fault::cap_latency(fault.latency)).await;
    }
    request.now_ms = shared.clock.now_unix_ms();
    match apply_fault::apply(service, &fault.action, || {
        dispatch::handle(&shared, &request)
    }) {
        Outcome::Response(mut wire_response) => {
            shared.with(|state| state.count(&format!("status_{}", wire_response.status)));
            wire_response
                .headers
                .extend(fault.retry_after.map(|value| ("retry-after", value)));
            http_response(
                wire_response,
                apply_fault::skew_date_ms(request.now_ms, fault.date_skew_s),
            )
        }
        Outcome::Raw(bytes) => {
            connection_fault.lock().replace_output(bytes);
            let close = vec![("connection", "close".to_owned())];
            http_response(
                WireResponse {
                    status: 200,
                    headers: close,
                    body: Body::Whole(None),
                },
                request.now_ms,
            )
        }
        Outcome::Close => Err(broken_connection()),
        Outcome::Reset => {
            connection_fault.lock().reset_on_drop();
            Err(broken_connection())
        }
        Outcome::Hang => pending().await,
    }
}

fn http_response(wire_response: WireResponse, date_ms: i64) -> io::Result<Response<Body>> {
    let WireResponse {
        status,
        headers,
        body,
    } = wire_response;
    let mut builder = Response::builder()
        .status(status)
        .header("date", http_date(date_ms));
    for (name, value) in headers {
        // Skip a value that is invalid in a header. A test that needs one can use the `raw` fault.
        if let Ok(value) = hyper::header::HeaderValue::from_bytes(value.as_bytes()) {
            builder = builder.header(name, value);
        }
    }
    builder.body(body).map_err(io::Error::other)
}
