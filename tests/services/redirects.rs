//! Redirects, of any kind, to anywhere: none is followed, and no byte reaches the place that they
//! name.

use std::io::Read;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use keyferry::ffi::status as k;
use keyferry_sandbox::FaultAction;

use crate::faults::Column;
use crate::rows::{self, Row};
use crate::{checks, table};
use keyferry_testing::settings::ServiceUrls;

/// A place that nobody should come to.
pub(crate) struct Sink {
    pub(crate) address: String,
    visits: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Sink {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (visits, heard) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (counter, received) = (Arc::clone(&visits), Arc::clone(&heard));
        thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let mut stream = stream.unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_millis(200)))
                    .unwrap();
                let mut all = Vec::new();
                let _ = stream.read_to_end(&mut all);
                received.lock().unwrap().extend(all);
            }
        });
        Self {
            address,
            visits,
            heard,
        }
    }

    /// What the first visitor began with; it is waited for.
    pub(crate) fn first_byte(&self) -> Option<u8> {
        let until = Instant::now() + Duration::from_secs(10);
        while self.heard.lock().unwrap().is_empty() && Instant::now() < until {
            thread::yield_now();
        }
        self.heard.lock().unwrap().first().copied()
    }

    pub(crate) fn check(&self) {
        let heard = self.heard.lock().unwrap();
        assert!(
            !keyferry_testing::secrets::leaks(&String::from_utf8_lossy(&heard), &[]),
            "a secret at the sink"
        );
        assert_eq!(
            (self.visits.load(Ordering::SeqCst), heard.len()),
            (0, 0),
            "visits and bytes at the sink"
        );
    }
}

fn all_targets(row: &Row, sink: &Sink) {
    let sandbox = checks::sandbox();
    let host = &sink.address;
    let port = host.rsplit_once(':').map(|(_, port)| port).unwrap();
    let targets = [
        format!("http://{host}/redirect-target"),
        format!("{}/redirect-target", sandbox.url_of(row.service)),
        "/redirect-target".to_owned(),
        format!("https://{host}/redirect-target"),
        format!("//{host}/redirect-target"),
        format!("http://localhost:{port}/redirect-target"),
    ];
    for status in [301, 302, 303, 307, 308] {
        for to in &targets {
            let action = FaultAction::Redirect {
                status,
                to: to.clone(),
            };
            let name = format!("{status} to {to}");
            let column = Column {
                name,
                action,
                retry_after: None,
                expected_status: k::KEYFERRY_E_REDIRECTED,
            };
            table::cell(row, &column, &sandbox);
        }
    }
    checks::check_requests(&sandbox);
}

#[test]
fn no_redirect_is_followed() {
    let sink = Sink::open();
    let all = rows::all();
    assert!(
        all.iter().any(|row| row.method == "GET") && all.iter().any(|row| row.method == "POST")
    );
    thread::scope(|scope| {
        for row in &all {
            let sink = &sink;
            scope.spawn(move || all_targets(row, sink));
        }
    });
    sink.check();
}

#[test]
fn a_place_named_in_a_401_is_not_asked() {
    let (sink, sandbox) = (Sink::open(), checks::sandbox());
    let place = format!("http://{}/token", sink.address);
    let head = format!(
        "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"{place}\"\r\nLocation: {place}\r\nLink: <{place}>; rel=next\r\n\
         Refresh: 0; url={place}\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    for row in rows::all() {
        let action = FaultAction::Raw(head.clone().into_bytes());
        let column = Column {
            name: "401 that names a place".into(),
            action,
            retry_after: None,
            expected_status: 0,
        };
        let session = (row.config)(&sandbox).open();
        (row.set_up)(&sandbox);
        (row.prepare)(&session);
        sandbox.fault(column.fault(&row));
        // A renewal that is refused goes on with the token call; all others fail.
        assert!(
            row.name == "renewal" || (row.acquire)(&session, checks::AMPLE_TIMEOUT_MS).is_err(),
            "{}",
            row.name
        );
        sandbox.clear_faults();
    }
    sink.check();
}
