//! The one constructor of HTTP clients: whatever keeps a credential on its way is set here.
//!
//! Rationale: on a redirect reqwest strips `Authorization` and `Cookie` alone, so `X-User-Token` and the password in the
//! body would go on to the new host; and it sends `http://localhost` through `HTTP_PROXY`.

use std::fmt;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect};
use tower_layer::Layer;
use tower_service::Service;
use url::Url;

use super::exchange::PROGRESS;
use super::{Options, Proxy, proxy, tls};
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::{is_localhost, is_loopback};

/// How long a connection may take, TLS included.
pub(super) const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// The three ways to a service, each with a client of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// http to this machine: needs no certificates, and reads none.
    Plain,
    /// https to this machine.
    Local,
    /// https to anywhere else.
    Cloud,
}

impl Route {
    /// The way to a URL; None where credentials would go in clear.
    pub(super) fn to(url: &Url) -> Option<Self> {
        match (url.scheme(), is_loopback(url)) {
            ("http", true) => Some(Self::Plain),
            ("https", true) => Some(Self::Local),
            ("https", false) => Some(Self::Cloud),
            _ => None,
        }
    }
}

/// The clients, each made when it is first needed. One that can't be made is tried again.
pub(super) struct Clients<'a> {
    options: &'a Options,
    made: [Option<Client>; 3],
}

impl<'a> Clients<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self { options, made: [None, None, None] }
    }

    /// The client of a route.
    pub(super) fn get(&mut self, route: Route) -> Result<Client> {
        let slot = &mut self.made[route as usize];
        if let Some(client) = slot {
            return Ok(client.clone());
        }
        let client = build(route, self.options)?;
        *slot = Some(client.clone());
        Ok(client)
    }
}

fn build(route: Route, options: &Options) -> Result<Client> {
    let tls = if route == Route::Plain { tls::trusting_nobody()? } else { tls::trusting(options.ca_file.as_deref())? };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(route != Route::Plain)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0)
        .connect_timeout(LONGEST_CONNECT)
        .connection_verbose(false)
        .dns_resolver(Resolver { route })
        .connector_layer(Watched)
        .user_agent(concat!("keyferry/", env!("CARGO_PKG_VERSION")));
    match &options.proxy {
        Proxy::System if route == Route::Cloud => {
            if let Some(proxy) = proxy::of_environment()? {
                builder = builder.no_proxy().proxy(proxy);
            }
        }
        Proxy::Url(url) if route == Route::Cloud => builder = builder.no_proxy().proxy(proxy::named("http.proxy", url)?),
        Proxy::System | Proxy::Url(_) | Proxy::None => builder = builder.no_proxy(),
    }
    builder.build().map_err(|_| Error::new(ErrorKind::Config, "HTTP can't be set up: check http.proxy, and HTTPS_PROXY in the environment"))
}

/// Looks names up; `localhost` is this machine whatever a name server says.
struct Resolver {
    route: Route,
}

/// A name that has no address.
#[derive(Debug)]
pub(super) struct NoAddress(pub(super) String);

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address")
    }
}

impl std::error::Error for NoAddress {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let is_here = self.route != Route::Cloud;
        Box::pin(async move {
            if is_localhost(&name) {
                let here: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
                return Ok(Box::new(here.into_iter()) as Addrs);
            }
            let asked = name.clone();
            let look_up = move || (asked.as_str(), 0).to_socket_addrs();
            let found = if is_here { None } else { tokio::task::spawn_blocking(look_up).await.ok() };
            match found {
                Some(Ok(addresses)) => Ok(Box::new(addresses) as Addrs),
                _ => Err(NoAddress(name).into()),
            }
        })
    }
}

/// Notes in [`PROGRESS`] when a connection stands.
#[derive(Clone)]
struct Watched;

#[derive(Clone)]
struct Watch<S>(S);

impl<S> Layer<S> for Watched {
    type Service = Watch<S>;

    fn layer(&self, inner: S) -> Watch<S> {
        Watch(inner)
    }
}

impl<S, R> Service<R> for Watch<S>
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
            // Not told outside of an exchange, where there is none to ask.
            let _ = PROGRESS.try_with(super::exchange::Progress::connected);
            Ok(connection)
        })
    }
}
