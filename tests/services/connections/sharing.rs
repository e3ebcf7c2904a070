//! Which requests may share a connection: reads of one account from one origin, and nothing else.

use std::thread;

use keyferry_testing::c_api::{Config, Request, Session};

use super::requests::{self, API_KEY, FILEVERBS_KEY, PASSWORD, SECRET_KEY};
use super::service::{Services, TEAM, Trait};

/// Reads from each service, several times.
fn use_all_services(session: &Session) {
    for number in 0..3 {
        requests::ask_package(session, number).unwrap();
        session.agent().unwrap();
    }
    let bearer = session.bearer().unwrap();
    session.reject(&bearer).unwrap();
    session.bearer().unwrap();
    session.secret_key().unwrap();
    let request = Request::new("links/L1?secret=made-up-link-secret");
    session
        .token_for(&request.link_password("made-up-link-password"))
        .unwrap();
}

#[test]
fn no_secret_reaches_another_origin() {
    let [masv, agent, fileverbs] =
        ["of-masv", "of-agent", "of-fileverbs"].map(|mark| Services::start(mark, Trait::None));
    let session = requests::with_login(masv.url())
        .set("masv.team", TEAM)
        .set("agent.url", agent.url())
        .set("fileverbs.url", fileverbs.url())
        .set("fileverbs.secret_key", SECRET_KEY)
        .set("fileverbs.api_key", FILEVERBS_KEY)
        .open();
    use_all_services(&session);
    let foreign = [
        (
            &masv,
            [SECRET_KEY, FILEVERBS_KEY, "of-fileverbs", "of-agent"],
        ),
        (&agent, [SECRET_KEY, PASSWORD, "of-fileverbs", "of-masv"]),
        (
            &fileverbs,
            [PASSWORD, "made-up-link", "of-masv", "of-agent"],
        ),
    ];
    for (services, secrets) in foreign {
        let connections = services.server.connections();
        assert!(!connections.is_empty());
        for seen in connections {
            let text = String::from_utf8_lossy(&seen.received).into_owned();
            assert!(
                secrets.iter().all(|secret| !text.contains(secret)),
                "at {}: {text}",
                services.url()
            );
        }
        services.check_connections("all services", &["POST "]);
    }
}

/// The accounts that share an origin: two logins, and an API key.
const ACCOUNTS: [&str; 3] = ["one", "two", "three"];

fn config_of_accounts(url: &str) -> Config {
    let config = Config::new().set("masv.url", url);
    ACCOUNTS.iter().fold(config, |config, account| {
        let set = |config: Config, key: &str, value: &str| {
            config.set(&format!("profile.{account}.masv.{key}"), value)
        };
        let config = set(set(config, "url", url), "team", TEAM);
        if *account == "three" {
            return set(config, "api_key", API_KEY);
        }
        let email = format!("{account}@example.com");
        set(set(config, "email", &email), "password", PASSWORD)
    })
}

#[test]
fn two_accounts_never_share_a_connection() {
    let services = Services::start("made-up", Trait::None);
    let session = config_of_accounts(services.url()).open();
    thread::scope(|scope| {
        for account in ACCOUNTS {
            let session = &session;
            scope.spawn(move || {
                for number in 0..10 {
                    // The number names the account, so that a request shows whose it is.
                    let resource = format!("packages/P{account}-{number}");
                    let token = session.token_for(&Request::new(&resource).account(account));
                    let token = token.unwrap_or_else(|error| panic!("{resource}: {error:?}"));
                    assert!(
                        token
                            .value()
                            .contains(&format!(".package-P{account}-{number}.")),
                        "{}",
                        token.value()
                    );
                }
            });
        }
    });
    for seen in services.server.connections() {
        let text = String::from_utf8_lossy(&seen.received).into_owned();
        let owners = ACCOUNTS.iter().filter(|account| {
            text.contains(&format!("packages/P{account}-"))
                || text.contains(&format!("{account}@example.com"))
        });
        assert!(owners.count() <= 1, "{text}");
    }
    services.check_connections("accounts", &["POST "]);
}

/// Two sessions in one process are as strangers to each other, also if they have the same account.
#[test]
fn two_sessions_never_share_a_connection() {
    let services = Services::start("made-up", Trait::None);
    let sessions = [(); 2].map(|()| {
        requests::with_key(services.url())
            .set("masv.team", TEAM)
            .open()
    });
    for number in 0..5 {
        for (owner, session) in sessions.iter().enumerate() {
            requests::ask_package(session, number * 2 + owner as u32).unwrap();
        }
    }
    for seen in services.server.connections() {
        let owners: Vec<_> = seen
            .requests
            .iter()
            .map(|request| request.line.ends_with(['0', '2', '4', '6', '8']))
            .collect();
        assert!(owners.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    }
}

/// Without a fault, reads one after the other need one connection, which is opened beside the login.
#[test]
fn reads_one_after_the_other_share_a_connection() {
    let services = Services::start("made-up", Trait::None);
    let session = requests::with_login(services.url()).open();
    for number in 0..100 {
        requests::ask_package(&session, number).unwrap();
    }
    let connections = services.server.connections();
    let read: Vec<_> = connections.iter().map(|seen| seen.requests.len()).collect();
    // One of the login, and one of 101 reads: the teams, and the packages.
    assert_eq!(read.iter().sum::<usize>(), 102, "{read:?}");
    assert_eq!(read.len(), 2, "{read:?}");
}

/// A request waits for its response before the next one is sent on the same connection.
#[test]
fn requests_at_the_same_time_use_connections_of_their_own() {
    let services = Services::start("made-up", Trait::None);
    let session = requests::with_login(services.url())
        .set("masv.team", TEAM)
        .open();
    thread::scope(|scope| {
        for thread in 0..16 {
            let session = &session;
            scope.spawn(move || {
                for number in 0..10 {
                    let number = thread * 10 + number;
                    let value = requests::ask_package(session, number).unwrap();
                    assert!(value.contains(&format!(".package-P{number}.")), "{value}");
                }
            });
        }
    });
    services.check_connections("16 threads", &["POST "]);
    assert_eq!(services.server.count(requests::LOGIN), 1);
    assert_eq!(services.server.count(requests::LOOK_UP), 160);
}
