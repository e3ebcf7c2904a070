//! One thread that serves the three listeners, and the way of a request through it.
//!
//! It decides nothing about a request: `control`, `faults` and the services do.

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

use crate::apply_fault::{self, Outcome, Reply};
use crate::body::Body;
use crate::clock::http_date;
use crate::connection::{ConnectionFault, Stream, Wire};
use crate::control;
use crate::dispatch;
use crate::faults::{Fault, FaultAction};
use crate::request::SandboxRequest;
use crate::service::Service;
use crate::state::Shared;

/// Hundreds of callers may connect within one breath.
const BACKLOG: u32 = 4096;

pub(crate) struct Server {
    pub(crate) ports: [u16; 3],
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(shared: &Arc<Shared>, ports: [u16; 3], tls: Option<TlsAcceptor>) -> io::Result<Server> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut bound = [0; 3];
        let services = [Service::Masv, Service::Agent, Service::FileVerbs];
        for ((service, port), slot) in services.into_iter().zip(ports).zip(&mut bound) {
            let listener = listen(&runtime, port)?;
            *slot = listener.local_addr()?.port();
            runtime.spawn(accept(listener, service, Arc::clone(shared), tls.clone()));
        }
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        // Dropping the runtime at the end of the thread drops every connection, hung ones too.
        let run = move || runtime.block_on(stopped.notified());
        let thread = std::thread::Builder::new().name("keyferry-sandbox".to_owned()).spawn(run)?;
        Ok(Server { ports: bound, stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed already, and a drop can't report it.
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

async fn accept(listener: TcpListener, service: Service, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                shared.with(|state| state.count("connections"));
                tokio::spawn(connection(stream, service, Arc::clone(&shared), tls.clone()));
            }
            // Out of descriptors: some will be free again.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(socket: TcpStream, service: Service, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    // Without it answers are late, never wrong.
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
    let (wire, connection_fault) = Wire::new(stream);
    let serve = service_fn(move |request| serve(Arc::clone(&shared), service, Arc::clone(&connection_fault), request));
    // An error is a client that went away or a fault that did its work.
    let _ = http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(wire), serve).await;
}

async fn serve(
    shared: Arc<Shared>,
    service: Service,
    connection_fault: Arc<Mutex<ConnectionFault>>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let broken = || io::Error::other("the connection breaks off here on purpose");
    let mut request = SandboxRequest::read(service, request).await.ok_or_else(broken)?;
    if let Some(response) = control::handle(&shared, &request) {
        let Outcome::Reply(reply) = apply_fault::outcome(service, &FaultAction::Nothing, || response) else { return Err(broken()) };
        return http_response(reply, shared.clock.now_unix_ms());
    }
    let fault = dispatch::receive(&shared, &request).unwrap_or_else(|| Fault::new(FaultAction::Nothing));
    if !fault.latency.is_zero() {
        tokio::time::sleep(apply_fault::bounded(fault.latency)).await;
    }
    request.now_ms = shared.clock.now_unix_ms();
    match apply_fault::outcome(service, &fault.act, || dispatch::handle(&shared, &request)) {
        Outcome::Reply(mut reply) => {
            shared.with(|state| state.count(&format!("status_{}", reply.status)));
            reply.headers.extend(fault.retry_after.map(|value| ("retry-after", value)));
            http_response(reply, apply_fault::skewed(request.now_ms, fault.date_skew_s))
        }
        Outcome::Raw(bytes) => {
            connection_fault.lock().replace(bytes);
            let close = vec![("connection", "close".to_owned())];
            http_response(Reply { status: 200, headers: close, payload: Body::Whole(None) }, request.now_ms)
        }
        Outcome::Close => Err(broken()),
        Outcome::Reset => {
            connection_fault.lock().reset();
            Err(broken())
        }
        Outcome::Hang => pending().await,
    }
}

fn http_response(reply: Reply, date_ms: i64) -> io::Result<Response<Body>> {
    let Reply { status, headers, payload } = reply;
    let mut builder = Response::builder().status(status).header("date", http_date(date_ms));
    for (name, value) in headers {
        // What no header can hold is left out: the test that asked for it uses a raw answer.
        if let Ok(value) = hyper::header::HeaderValue::from_bytes(value.as_bytes()) {
            builder = builder.header(name, value);
        }
    }
    builder.body(payload).map_err(io::Error::other)
}
