//! What the transport does to the process it lives in: threads and forks. One test, so that all
//! threads are its own.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![expect(unsafe_code, reason = "system calls")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::ports::http::{Http, Request};
use keyferry::transport::{Options, Transport};
use url::Url;

fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("keyferry-")).count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Whether a child that runs this ends well, and soon.
fn child_ends_well(action: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child touches nothing but the transport, whose promise is what is tested, and
    // ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: both calls take a number; the alarm ends a child that hangs.
        unsafe { libc::alarm(5) };
        let good = action();
        // SAFETY: as above.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = -1;
    // SAFETY: `child` is ours and `status` is there to be filled.
    unsafe { libc::waitpid(child, &mut status, 0) };
    status == 0
}

#[test]
fn one_thread_from_the_first_exchange_to_the_end_and_none_in_a_child() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let request =
        Request::get(Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap());
    let (arrived, arrival) = channel();
    thread::spawn(move || {
        let mut held = Vec::new();
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            if number == 1 {
                held.push(stream);
                arrived.send(()).unwrap();
            } else {
                stream.write_all(b"HTTP/1.1 204 No\r\n\r\n").unwrap();
            }
        }
    });
    let before = descriptors();
    let transport = Transport::new(Options::default());
    assert_eq!((threads(), descriptors()), (0, before));
    assert_eq!(
        transport.exchange(0, &request, deadline()).unwrap().status,
        204
    );
    assert_eq!(threads(), 1);

    thread::scope(|scope| {
        let hung = scope.spawn(|| transport.exchange(0, &request, deadline()));
        arrival.recv().unwrap();
        for _ in 0..20 {
            assert!(child_ends_well(|| {
                let failure = transport.exchange(0, &request, deadline()).err();
                transport.close(Instant::now());
                // A copy of the handle, dropped as the child's own exit would.
                // SAFETY: the original is not used again in this process.
                drop(unsafe { std::ptr::read(&raw const transport) });
                failure
                    .is_some_and(|failure| failure.error.kind == ErrorKind::Forked && !failure.sent)
            }));
            assert!(child_ends_well(|| {
                let own = Transport::new(Options::default());
                own.exchange(0, &request, deadline())
                    .is_ok_and(|answer| answer.status == 204)
            }));
        }
        let start = Instant::now();
        transport.close(Instant::now());
        assert_eq!(
            hung.join().unwrap().err().unwrap().error.kind,
            ErrorKind::Cancelled
        );
        assert!(
            start.elapsed() < Duration::from_millis(200),
            "{:?}",
            start.elapsed()
        );
    });
    let start = Instant::now();
    drop(transport);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(
        (threads(), descriptors()),
        (0, before + 1),
        "one connection is held by the peer"
    );
    a_fork_closes_idle_connections();
}

/// Called by the test above, because the forks of other tests would close its connections.
fn a_fork_closes_idle_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let request =
        Request::get(Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap());
    let transport = Transport::new(Options::default());
    let (closed, closes) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (closed, mut stream) = (closed.clone(), stream.unwrap());
            thread::spawn(move || {
                let mut requests = 0;
                while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                    requests += 1;
                    stream.write_all(b"HTTP/1.1 204 No\r\n\r\n").unwrap();
                }
                closed.send(requests).unwrap();
            });
        }
    });
    for forks in [false, true, false] {
        if forks {
            assert!(child_ends_well(|| true));
        }
        let mut reader = transport.reader(0);
        assert_eq!(reader.read(&request, deadline()).unwrap().status, 204);
        reader.keep();
    }
    transport.close_idle();
    let requests = [closes.recv().unwrap(), closes.recv().unwrap()];
    assert_eq!(requests, [1, 2], "the requests of each connection");
}
