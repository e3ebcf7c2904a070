//! The credentials of each service: configured settings and stored tokens.

use serde_json::{Value, json};

use keyferry::clock::Clock;
use keyferry::config::Profile;
use keyferry::error::Result;
use keyferry::session::Session;

/// The settings that contain credentials, by service.
pub const SERVICE_SETTINGS: [(&str, &[&str]); 2] = [
    ("masv", &["masv.api_key", "masv.email", "masv.password"]),
    ("fileverbs", &["fileverbs.secret_key", "fileverbs.api_key"]),
];

/// Lists the credential settings of a service that are set in a profile.
pub fn configured_settings(profile: &Profile, service: &str) -> Vec<&'static str> {
    let keys = SERVICE_SETTINGS
        .iter()
        .filter(|(name, _)| *name == service)
        .flat_map(|(_, keys)| *keys);
    keys.copied().filter(|key| profile.is_set(key)).collect()
}

/// Lists the stored tokens as JSON, each with its resource and remaining lifetime.
pub fn stored_tokens(session: &Session) -> Result<Vec<Value>> {
    let now_s = Clock::system().now_us().div_euclid(1_000_000);
    let all: Vec<Value> = serde_json::from_str(&session.list()?).unwrap_or_default();
    let row = |mut row: Value| {
        let id = row["id"].as_str().unwrap_or_default();
        let resource = match (
            row["service"].as_str().unwrap_or_default(),
            row["kind"].as_str().unwrap_or_default(),
        ) {
            ("fileverbs", "key") => "fileverbs:secret-key".to_owned(),
            ("masv", "key" | "user") => "user".to_owned(),
            ("masv", kind) => format!("{kind}s/{id}"),
            (service, kind) => format!("{service}:{kind}"),
        };
        row["resource"] = json!(resource);
        row["life_left_s"] = row["expires_here_unix_s"]
            .as_i64()
            .map_or(Value::Null, |expires_unix_s| json!(expires_unix_s - now_s));
        row
    };
    Ok(all.into_iter().map(row).collect())
}
