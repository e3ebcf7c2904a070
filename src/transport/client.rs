//! Builds the HTTP clients, with the settings that keep credentials from other hosts.
//!
//! No other file builds a client.
//!
//! Rationale: by default, reqwest follows redirects. It then removes only `Authorization` and
//! `Cookie`, so it would send `X-User-Token` and the password in the body to the new host. By
//! default, reqwest also sends requests to `http://localhost` through `HTTP_PROXY`.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect};
use rustls::ClientConfig;
use tower_layer::Layer;
use tower_service::Service;
use url::Url;

use super::options::{Options, Proxy};
use super::progress::{PROGRESS, Progress};
use super::proxy::{self, NamedProxy};
use super::tls;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::{is_localhost, is_loopback};

/// The error type of reqwest's connectors.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The time limit for connecting, including the TLS handshake.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to reach a service. Each route has its own client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// http to this machine. The client loads no certificates.
    Plain,
    /// https to this machine.
    Local,
    /// https to any other machine.
    Cloud,
}

impl Route {
    /// Returns the route to a URL. `None` if it would send credentials unencrypted to another
    /// machine.
    pub(super) fn for_url(url: &Url) -> Option<Self> {
        match (url.scheme(), is_loopback(url)) {
            ("http", true) => Some(Self::Plain),
            ("https", true) => Some(Self::Local),
            ("https", false) => Some(Self::Cloud),
            _ => None,
        }
    }
}

/// The clients of all accounts. Each is built on its first use. If building fails, the next use
/// retries it.
///
/// An account never uses another account's connections or TLS sessions, so the service cannot tell
/// that they belong to the same machine user.
pub(super) struct Clients<'a> {
    options: &'a Options,
    /// The configuration that all accounts share, without TLS sessions.
    tls: Option<ClientConfig>,
    /// The configuration of each account, with its TLS sessions.
    account_tls: HashMap<usize, ClientConfig>,
    /// The clients that open a new connection for each request.
    single_use: HashMap<(usize, Route), RouteClient>,
}

/// The client of a route.
#[derive(Clone)]
pub(super) struct RouteClient {
    pub(super) client: Client,
    /// The proxy that the client uses for hosts that are no exceptions.
    pub(super) proxy: Option<Arc<NamedProxy>>,
}

impl<'a> Clients<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self {
            options,
            tls: None,
            account_tls: HashMap::new(),
            single_use: HashMap::new(),
        }
    }

    /// Returns the client of a route that opens a new connection for each request, and closes it
    /// after the response.
    pub(super) fn single_use(&mut self, account: usize, route: Route) -> Result<RouteClient> {
        if let Some(client) = self.single_use.get(&(account, route)) {
            return Ok(client.clone());
        }
        let client = self.build(account, route, 0)?;
        self.single_use.insert((account, route), client.clone());
        Ok(client)
    }

    /// Returns a new client of a route that keeps its connection open after a response. It has at most
    /// one connection. Dropping the client closes the connection.
    pub(super) fn kept(&mut self, account: usize, route: Route) -> Result<RouteClient> {
        self.build(account, route, 1)
    }

    fn build(&mut self, account: usize, route: Route, max_idle: usize) -> Result<RouteClient> {
        let tls = match route {
            Route::Plain => tls::config_without_roots()?,
            Route::Local | Route::Cloud => self.account_tls(account)?,
        };
        build_client(route, self.options, tls, max_idle)
    }

    fn account_tls(&mut self, account: usize) -> Result<ClientConfig> {
        if let Some(config) = self.account_tls.get(&account) {
            return Ok(config.clone());
        }
        let shared = match &self.tls {
            Some(config) => config,
            None => self.tls.insert(tls::config_with_roots(self.options)?),
        };
        let config = tls::with_own_sessions(shared.clone());
        self.account_tls.insert(account, config.clone());
        Ok(config)
    }
}

fn build_client(
    route: Route,
    options: &Options,
    tls: ClientConfig,
    max_idle: usize,
) -> Result<RouteClient> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(route != Route::Plain)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(max_idle)
        .pool_idle_timeout(None)
        .connect_timeout(CONNECT_TIMEOUT)
        .connection_verbose(false)
        .dns_resolver(Resolver { route })
        .connector_layer(ConnectLayer::default())
        .user_agent(concat!("keyferry/", env!("CARGO_PKG_VERSION")));
    let proxy = match &options.proxy {
        Proxy::System if route == Route::Cloud && !options.ignores_environment => {
            proxy::from_environment()?
        }
        Proxy::Url(url) if route == Route::Cloud => Some(proxy::from_setting(url, options)?),
        Proxy::System | Proxy::Url(_) | Proxy::None => None,
    };
    let proxy = proxy.map(Arc::new);
    builder = builder.no_proxy();
    if let Some(proxy) = &proxy {
        builder = builder.proxy(proxy.to_reqwest());
    }
    let client = builder.build().map_err(|_| {
        Error::new(
            ErrorKind::Config,
            "cannot set up the HTTP client; check `http.proxy` and the environment variable HTTPS_PROXY",
        )
    })?;
    Ok(RouteClient { client, proxy })
}

/// Resolves host names. `localhost` always resolves to this machine, without a name server.
struct Resolver {
    route: Route,
}

/// The error for a host name that cannot be resolved.
#[derive(Debug)]
pub(super) struct LookupFailed {
    pub(super) name: String,
    /// The error of the system's resolver. `None` if it was not asked.
    pub(super) error: Option<io::Error>,
}

impl fmt::Display for LookupFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address")
    }
}

impl std::error::Error for LookupFailed {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let is_this_machine = self.route != Route::Cloud;
        Box::pin(async move {
            if is_localhost(&name) {
                let loopback: [SocketAddr; 2] = [
                    (Ipv4Addr::LOCALHOST, 0).into(),
                    (Ipv6Addr::LOCALHOST, 0).into(),
                ];
                return Ok(Box::new(loopback.into_iter()) as Addrs);
            }
            let host = name.clone();
            let resolve = move || (host.as_str(), 0).to_socket_addrs();
            let resolved = if is_this_machine {
                None
            } else {
                tokio::task::spawn_blocking(resolve).await.ok()
            };
            match resolved {
                Some(Ok(addresses)) => Ok(Box::new(addresses) as Addrs),
                outcome => Err(LookupFailed {
                    name,
                    error: outcome.and_then(Result::err),
                }
                .into()),
            }
        })
    }
}

tokio::task_local! {
    /// Present if the current task opens a connection ahead of the exchange that will use it.
    static OPENS_AHEAD: ();
}

/// Opens a connection, which the client's next exchange uses. Does nothing else with it.
///
/// reqwest has no function for this. So this function sends a request, and [`ConnectService`] makes
/// the request fail as soon as the connection is established. The client sends none of the request.
pub(super) async fn open_ahead(client: &Client, origin: Url) {
    let request = client.get(origin).send();
    // The exchange reports the failure, because it tries to connect again.
    drop(OPENS_AHEAD.scope((), request).await);
}

/// The error that ends the request of [`open_ahead`].
#[derive(Debug)]
struct OpenedAhead;

impl fmt::Display for OpenedAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is open")
    }
}

impl std::error::Error for OpenedAhead {}

/// The connection that [`open_ahead`] has opened for the next exchange. Its type has no name outside
/// of reqwest. The lock is held while the connection is being opened.
type Ahead = Arc<tokio::sync::Mutex<Option<Box<dyn Any + Send>>>>;

/// Records the connection of an exchange in [`PROGRESS`], and holds a connection that is opened
/// ahead.
#[derive(Clone, Default)]
struct ConnectLayer {
    ahead: Ahead,
}

#[derive(Clone)]
struct ConnectService<S> {
    inner: S,
    ahead: Ahead,
}

impl<S> Layer<S> for ConnectLayer {
    type Service = ConnectService<S>;

    fn layer(&self, inner: S) -> ConnectService<S> {
        ConnectService {
            inner,
            ahead: Arc::clone(&self.ahead),
        }
    }
}

impl<S, R> Service<R> for ConnectService<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.inner.call(request);
        let ahead = Arc::clone(&self.ahead);
        Box::pin(async move {
            let record = |mark: fn(&Progress)| {
                // This fails if the current task runs no exchange. There is then no progress to
                // record.
                let _ = PROGRESS.try_with(mark);
            };
            record(Progress::mark_unconnected);
            let mut ahead = ahead.lock().await;
            if OPENS_AHEAD.try_with(|()| ()).is_ok() {
                *ahead = Some(Box::new(connecting.await?));
                return Err(OpenedAhead.into());
            }
            if let Some(connection) = ahead.take().and_then(|it| it.downcast().ok()) {
                record(Progress::mark_kept);
                return Ok(*connection);
            }
            drop(ahead);
            let connection = connecting.await?;
            record(Progress::mark_connected);
            Ok(connection)
        })
    }
}
