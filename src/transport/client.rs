//! Builds the HTTP clients, with the settings that keep credentials from other hosts.
//!
//! No other file builds a client.
//!
//! Rationale: by default, reqwest follows redirects. It then removes only `Authorization` and
//! `Cookie`, so it would send `X-User-Token` and the password in the body to the new host. By
//! default, reqwest also sends requests to `http://localhost` through `HTTP_PROXY`.

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
use tower_layer::Layer;
use tower_service::Service;
use url::Url;

use super::options::{Options, Proxy};
use super::progress::{PROGRESS, Progress};
use super::proxy::{self, NamedProxy};
use super::tls;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::{is_localhost, is_loopback};

/// The time limit for connecting, including the TLS handshake.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to reach a service. Each route has its own client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The clients of all routes. Each is built on its first use. If building fails, the next use
/// retries it.
pub(super) struct Clients<'a> {
    options: &'a Options,
    clients: [Option<RouteClient>; 3],
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
            clients: [None, None, None],
        }
    }

    /// Returns the client of a route.
    pub(super) fn get(&mut self, route: Route) -> Result<RouteClient> {
        let slot = &mut self.clients[route as usize];
        if let Some(client) = slot {
            return Ok(client.clone());
        }
        let client = build_client(route, self.options)?;
        *slot = Some(client.clone());
        Ok(client)
    }
}

fn build_client(route: Route, options: &Options) -> Result<RouteClient> {
    let tls = if route == Route::Plain {
        tls::config_without_roots()?
    } else {
        tls::config_with_roots(options)?
    };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(route != Route::Plain)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT)
        .connection_verbose(false)
        .dns_resolver(Resolver { route })
        .connector_layer(ProgressLayer)
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

/// Records in [`PROGRESS`] that the connection is established.
#[derive(Clone)]
struct ProgressLayer;

#[derive(Clone)]
struct ProgressService<S>(S);

impl<S> Layer<S> for ProgressLayer {
    type Service = ProgressService<S>;

    fn layer(&self, inner: S) -> ProgressService<S> {
        ProgressService(inner)
    }
}

impl<S, R> Service<R> for ProgressService<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.0.call(request);
        Box::pin(async move {
            let connection = connecting.await?;
            // This fails if the current task runs no exchange. There is then no progress to record.
            let _ = PROGRESS.try_with(Progress::mark_connected);
            Ok(connection)
        })
    }
}
