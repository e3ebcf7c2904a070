//! Tests every way to get a token of MASV, with scripted responses.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod links_and_transfers;

use serde_json::json;

use std::sync::atomic::Ordering;

use super::*;
use crate::model::token::Expiry;
use crate::services::test_context::{HOSTILE, ScriptedContext, headers, spec};

const TEAM: &str = "01D377KWTJDPC8JQC6XVGPMHDW";
const API_KEY: &str = "k$!(){}[]=:@/<,.+*~_-k$!(){}[]=:@/<,.+*~_-k$!(){}[]=:@/<,.+*~_-k";
const KEY: (&str, &str) = ("masv.api_key", API_KEY);
const EMAIL: (&str, &str) = ("masv.email", "ann@example.com");
const PASSWORD: (&str, &str) = ("masv.password", "hunter2-hunter2");

fn masv(has_key: bool) -> Masv {
    Masv::new(
        BaseUrl::parse("masv.url", "https://api.massive.app", &[]).unwrap(),
        has_key,
    )
}

/// Checks that an error message names a remedy and contains no secret that was sent.
fn checked(error: Error) -> Error {
    for secret in [
        API_KEY,
        "hunter2",
        "jwt-one",
        "jwt-two",
        "link-secret",
        "link+secret",
        "link%2B",
        "ann@",
        "pw-of-link",
    ] {
        assert!(!error.message().contains(secret), "{error}");
    }
    assert!(
        !error.message().ends_with('.') && error.message().contains([';', ':']),
        "no remedy: {error}"
    );
    error
}

fn manage(service: &Masv, id: &str, context: &ScriptedContext) -> Result<Acquired> {
    service
        .acquire(&spec(ResourceKind::Package, id, Access::Manage), context)
        .map_err(checked)
}

fn single(id: &str) -> String {
    format!("GET /v1.1/teams/{TEAM}/packages/{id}")
}

fn page(list: &str, page: usize) -> String {
    format!("GET /v1.1/teams/{TEAM}/{list}?page={page}&limit=50")
}

fn records(ids: std::ops::Range<usize>, total: Option<usize>) -> Value {
    let records: Vec<_> = ids
        .map(|id| json!({"id": format!("P{id}"), "access_token": format!("token-{id}")}))
        .collect();
    total.map_or_else(
        || json!(records),
        |total| json!({"metadata": {"total": total}, "records": records}),
    )
}

#[test]
fn the_api_key_is_a_header() {
    let want_key = spec(ResourceKind::Key, "", Access::Full);
    let found = masv(true)
        .acquire(&want_key, &ScriptedContext::new(&[KEY]))
        .unwrap()
        .found;
    assert_eq!(headers(&found.new_token), [format!("X-API-KEY: {API_KEY}")]);
    assert_eq!(
        masv(true)
            .acquire(&want_key, &ScriptedContext::new(&[]))
            .err()
            .unwrap()
            .kind,
        ErrorKind::NotConfigured
    );
    assert_eq!(
        masv(true)
            .acquire(
                &want_key,
                &ScriptedContext::new(&[("masv.api_key", "a\nb")])
            )
            .err()
            .unwrap()
            .kind,
        ErrorKind::InvalidValue
    );
}

#[test]
fn a_login_gives_the_users_token_and_tells_who_it_is() {
    let body =
        json!({"token": "jwt-one", "teams": [{"id": TEAM, "name": "Acme"}], "user": {"id": "U"}});
    let context = ScriptedContext::new(&[EMAIL, PASSWORD]).response("POST /v1/auth", 200, body);
    let found = masv(false)
        .acquire(&spec(ResourceKind::User, "", Access::Full), &context)
        .unwrap()
        .found;
    assert_eq!(headers(&found.new_token), ["X-User-Token: jwt-one"]);
    assert_eq!(
        found.new_token.details,
        json!({"user": {"id": "U"}, "teams": [{"id": TEAM, "name": "Acme"}]})
    );
    let sent = context.sent();
    assert_eq!((sent[0].via, sent[0].headers.len()), ("login", 0));
    assert_eq!(
        sent[0].body,
        r#"{"email":"ann@example.com","password":"hunter2-hunter2"}"#
    );
}

#[test]
fn without_a_password_the_error_says_what_to_do() {
    let of = |service: Masv, settings: &[(&'static str, &'static str)]| {
        checked(
            service
                .acquire(
                    &spec(ResourceKind::User, "", Access::Full),
                    &ScriptedContext::new(settings),
                )
                .err()
                .unwrap(),
        )
        .kind
    };
    assert_eq!(of(masv(false), &[]), ErrorKind::NotConfigured);
    assert_eq!(of(masv(false), &[PASSWORD]), ErrorKind::NotConfigured);
    assert_eq!(of(masv(false), &[EMAIL]), ErrorKind::LoginRequired);
    assert_eq!(of(masv(true), &[KEY]), ErrorKind::LoginRequired);
    let service = masv(false);
    let context =
        ScriptedContext::new(&[]).response("POST /v1/auth", 200, json!({"token": "jwt-one"}));
    service
        .login(
            &Secret::from("ann@example.com"),
            &Secret::from("hunter2"),
            &context,
        )
        .unwrap();
    assert_eq!(of(service, &[]), ErrorKind::LoginRequired);
}

#[test]
fn a_refused_login_hints_at_mfa_and_repeats_nothing() {
    for status in [400, 401, 403] {
        let body = r#"{"code":9,"errors":[{"code":9,"msg":"wrong password hunter2-hunter2"}]}"#;
        let context =
            ScriptedContext::new(&[EMAIL, PASSWORD]).response("POST /v1/auth", status, body);
        let error = checked(
            masv(false)
                .acquire(&spec(ResourceKind::User, "", Access::Full), &context)
                .err()
                .unwrap(),
        );
        assert_eq!(
            (error.kind, error.http_status, error.service_code),
            (ErrorKind::BadCredentials, Some(status), Some(9))
        );
        assert!(
            error.message().contains("MFA or SSO") && error.message().contains("API key"),
            "{error}"
        );
    }
}

#[test]
fn each_status_of_a_login_has_its_kind() {
    for (status, kind) in [
        (404, ErrorKind::NotFound),
        (405, ErrorKind::Unsupported),
        (418, ErrorKind::BadResponse),
    ] {
        let context =
            ScriptedContext::new(&[EMAIL, PASSWORD]).response("POST /v1/auth", status, "<html>");
        let error = checked(
            masv(false)
                .acquire(&spec(ResourceKind::User, "", Access::Full), &context)
                .err()
                .unwrap(),
        );
        assert_eq!((error.kind, error.http_status), (kind, Some(status)));
        assert!(
            error.message().contains("`masv.url`") && !error.message().contains("id"),
            "{error}"
        );
    }
}

#[test]
fn a_hostile_document_is_a_bad_answer_everywhere() {
    let deep = "[".repeat(100_000);
    for body in HOSTILE.into_iter().chain([
        deep.as_str(),
        r#"{"token":null,"access_token":7}"#,
        r#"{"token":"a\r\nb","access_token":"a\nb"}"#,
    ]) {
        let context = ScriptedContext::new(&[EMAIL, PASSWORD]).response("POST /v1/auth", 200, body);
        let error = checked(
            masv(false)
                .acquire(&spec(ResourceKind::User, "", Access::Full), &context)
                .err()
                .unwrap(),
        );
        assert_eq!(error.kind, ErrorKind::BadResponse, "{body:.40}");
        let context =
            ScriptedContext::new(&[KEY, ("masv.team", TEAM)]).response(&single("P"), 200, body);
        assert_eq!(
            manage(&masv(true), "P", &context).err().unwrap().kind,
            ErrorKind::BadResponse,
            "{body:.40}"
        );
        let secret = Secret::from("link-secret");
        let context =
            ScriptedContext::new(&[]).response("GET /v1/links/L?secret=link-secret", 200, body);
        let want_link = TokenSpec {
            link_secret: Some(&secret),
            ..spec(ResourceKind::Link, "L", Access::Read)
        };
        assert_eq!(
            masv(false)
                .acquire(&want_link, &context)
                .err()
                .unwrap()
                .kind,
            ErrorKind::BadResponse,
            "{body:.40}"
        );
    }
}

#[test]
fn a_package_is_looked_up_with_the_key_alone() {
    let body =
        json!({"id": "P", "access_token": "t", "name": "n", "expiry": "2030-01-01T00:00:00.000Z"});
    let context =
        ScriptedContext::new(&[KEY, ("masv.team", TEAM)]).response(&single("P"), 200, body);
    let found = manage(&masv(true), "P", &context).unwrap().found;
    assert_eq!(
        (found.resource_kind, found.id.as_str(), found.access),
        (ResourceKind::Package, "P", Access::Manage)
    );
    assert_eq!(
        (headers(&found.new_token), found.new_token.expiry),
        (vec!["X-Package-Token: t".into()], Expiry::Never)
    );
    let sent = context.sent();
    assert_eq!(
        (sent[0].via, sent[0].headers.as_slice()),
        ("login", &[format!("X-API-KEY: {API_KEY}")][..])
    );
}

#[test]
fn two_hundred_packages_over_four_pages_are_found() {
    for missing in [404, 405] {
        let mut context = ScriptedContext::new(&[KEY, ("masv.team", TEAM)]).response(
            &single("P180"),
            missing,
            "",
        );
        for at in 0..4 {
            context = context.response(
                &page("packages", at + 1),
                200,
                records(at * 50..at * 50 + 50, Some(200)),
            );
        }
        let service = masv(true);
        let found = manage(&service, "P180", &context).unwrap().found;
        assert_eq!(headers(&found.new_token), ["X-Package-Token: token-180"]);
        assert_eq!(context.sent().len(), 5);
        // The service does not support the lookup by ID, so it is not tried again.
        let context = ScriptedContext::new(&[KEY, ("masv.team", TEAM)]).response(
            &page("packages", 1),
            200,
            records(0..1, None),
        );
        assert!(manage(&service, "P0", &context).is_ok());
    }
}

#[test]
fn a_package_that_came_through_a_portal_is_found_in_the_inbox() {
    let context = ScriptedContext::new(&[KEY, ("masv.team", TEAM)])
        .response(&single("P7"), 404, "")
        .response(&page("packages", 1), 200, records(0..5, Some(5)))
        .response(&page("inbox", 1), 200, records(7..8, Some(1)));
    let service = masv(true);
    assert!(manage(&service, "P7", &context).is_ok());
    assert_eq!(context.sent().len(), 3);
    assert!(
        !service.single_lookup_unsupported.load(Ordering::Relaxed),
        "the list did not have it either"
    );
}

#[test]
fn a_package_that_is_nowhere_is_not_found() {
    for inbox in [200, 403, 404, 405] {
        let context = ScriptedContext::new(&[KEY, ("masv.team", TEAM)])
            .response(&single("P7"), 404, "")
            .response(&page("packages", 1), 200, records(0..0, Some(0)))
            .response(&page("inbox", 1), inbox, "[]");
        assert_eq!(
            manage(&masv(true), "P7", &context).err().unwrap().kind,
            ErrorKind::NotFound
        );
        context.sent();
    }
}

#[test]
fn a_list_without_end_ends() {
    let always = records(0..50, Some(1_000_000));
    let context = ScriptedContext::new(&[KEY, ("masv.team", TEAM)])
        .response(&single("P7"), 405, "")
        .response(&page("packages", 1), 200, &always)
        .response(&page("packages", 2), 200, &always);
    assert!(manage(&masv(true), "P7", &context).is_ok());
    context.sent();
    let mut context =
        ScriptedContext::new(&[KEY, ("masv.team", TEAM)]).response(&single("X"), 405, "");
    for at in 0..200 {
        context = context.response(
            &page("packages", at + 1),
            200,
            records(at * 50..at * 50 + 50, None),
        );
    }
    context = context.response(&page("inbox", 1), 404, "");
    assert_eq!(
        manage(&masv(true), "X", &context).err().unwrap().kind,
        ErrorKind::NotFound
    );
    assert_eq!(context.sent().len(), 202);
}

#[test]
fn a_short_page_is_not_the_last_while_the_total_says_more() {
    let context = ScriptedContext::new(&[KEY, ("masv.team", TEAM)])
        .response(&single("P30"), 404, "")
        .response(&page("packages", 1), 200, records(0..25, Some(40)))
        .response(&page("packages", 2), 200, records(25..40, Some(40)));
    assert!(manage(&masv(true), "P30", &context).is_ok());
    context.sent();
}

#[test]
fn a_listing_without_tokens_is_a_bad_answer_and_one_without_some_is_not() {
    let of = |id: &str, body: Value| {
        let context = ScriptedContext::new(&[KEY, ("masv.team", TEAM)])
            .response(&single(id), 405, "")
            .response(&page("packages", 1), 200, body);
        manage(&masv(true), id, &context)
    };
    let none = of(
        "P",
        json!({"records": [{"id": "P", "access_token": null}, 7, null]}),
    )
    .err()
    .unwrap();
    assert_eq!(none.kind, ErrorKind::BadResponse);
    assert_eq!(
        of("P", json!({"metadata": {"total": "x"}}))
            .err()
            .unwrap()
            .kind,
        ErrorKind::BadResponse
    );
    assert!(
        of(
            "P",
            json!({"Records": [{"id": "O"}, {"ID": "P", "Access_Token": "t"}]})
        )
        .is_ok()
    );
}

#[test]
fn each_status_of_a_look_up_stands_on_its_own_terms() {
    for (status, kind) in [
        (401, ErrorKind::BadCredentials),
        (403, ErrorKind::BadCredentials),
        (410, ErrorKind::NotFound),
        (418, ErrorKind::BadResponse),
    ] {
        let context = ScriptedContext::new(&[KEY, ("masv.team", TEAM)]).response(
            &single("P"),
            status,
            r#"{"message":"no"}"#,
        );
        let error = manage(&masv(true), "P", &context).err().unwrap();
        assert_eq!((error.kind, error.http_status), (kind, Some(status)));
    }
}

#[test]
fn a_users_token_that_ended_early_is_got_once_more() {
    let details = json!({"user": {"primary_team_id": TEAM}, "teams": []});
    let context = ScriptedContext::new(&[])
        .user("jwt-one", details.clone())
        .user("jwt-two", details.clone());
    let context = context.response(&single("P"), 401, "").response(
        &single("P"),
        200,
        json!({"access_token": "t"}),
    );
    assert!(manage(&masv(false), "P", &context).is_ok());
    assert_eq!(*context.rejected.borrow(), ["jwt-one"]);
    let sent = context.sent();
    assert_eq!(
        (sent[0].via, sent[0].headers.as_slice()),
        ("send", &["X-User-Token: jwt-one".to_owned()][..])
    );
    assert_eq!(sent[1].headers, ["X-User-Token: jwt-two"]);
    let context = ScriptedContext::new(&[])
        .user("jwt-one", details.clone())
        .user("jwt-two", details);
    let context = context
        .response(&single("P"), 401, "")
        .response(&single("P"), 401, "");
    assert_eq!(
        manage(&masv(false), "P", &context).err().unwrap().kind,
        ErrorKind::BadCredentials
    );
    context.sent();
}

#[test]
fn a_package_gives_its_owner_no_token_that_reads_or_writes() {
    for (access, remedy) in [
        (Access::Read, "/links"),
        (Access::Write, "adopt"),
        (Access::Full, "manage access"),
    ] {
        let error = checked(
            masv(true)
                .acquire(
                    &spec(ResourceKind::Package, "P", access),
                    &ScriptedContext::new(&[KEY]),
                )
                .err()
                .unwrap(),
        );
        assert_eq!(error.kind, ErrorKind::InsufficientAccess);
        assert!(error.message().contains(remedy), "{error}");
    }
}

#[test]
fn the_team_is_the_preferred_the_primary_or_the_only_one() {
    let team = |id: &str| json!({"id": id, "name": format!("Name {id}"), "subdomain": format!("sub-{id}")});
    let both = json!({"user": {"preferred_team_id": "A", "primary_team_id": "B"}, "teams": [team("A"), team("B")]});
    let primary = json!({"user": {"preferred_team_id": null, "primary_team_id": "B"}, "teams": [team("A"), team("B")]});
    let only = json!({"user": {}, "teams": [team("C")]});
    for (details, expected) in [(&both, "A"), (&primary, "B"), (&only, "C")] {
        assert_eq!(
            masv(false)
                .team(&ScriptedContext::new(&[]).user("jwt-one", details.clone()))
                .unwrap(),
            expected
        );
    }
    for name in ["B", "sub-B", "SUB-b", "name b"] {
        assert_eq!(
            masv(false)
                .team(&ScriptedContext::new(&[("masv.team", name)]).user("jwt-one", both.clone()))
                .unwrap(),
            "B"
        );
    }
}

#[test]
fn an_api_key_does_not_tell_its_team() {
    let teams =
        json!({"teams": [{"id": "A", "subdomain": "acme"}, {"id": "B", "subdomain": "beta"}]});
    let ask = |settings: &[(&'static str, &'static str)], body: &Value| {
        let context = ScriptedContext::new(settings).response("GET /v1/teams", 200, body);
        masv(true).team(&context).map_err(checked)
    };
    assert_eq!(ask(&[KEY], &json!([{"id": 42}])).unwrap(), "42");
    assert_eq!(ask(&[KEY, ("masv.team", "BETA")], &teams).unwrap(), "B");
    let several = ask(&[KEY], &teams).unwrap_err();
    assert_eq!(several.kind, ErrorKind::NotConfigured);
    assert!(
        several.message().starts_with("`masv.team` is not set, ")
            && several.message().contains("acme, beta"),
        "{several}"
    );
    let unknown = ask(&[KEY, ("masv.team", "gamma")], &teams).unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::NotConfigured);
    assert!(unknown.message().contains("acme, beta"), "{unknown}");
    let echo = ask(
        &[KEY],
        &json!([{"id": "A", "subdomain": format!("x{}", KEY.1)}, {"id": KEY.1}, {"id": "C"}]),
    )
    .unwrap_err();
    assert!(echo.message().ends_with("one of: C"), "{echo}");
    assert_eq!(
        ask(&[KEY], &json!([])).unwrap_err().kind,
        ErrorKind::NotConfigured
    );
    assert_eq!(
        ask(&[KEY], &json!({})).unwrap_err().kind,
        ErrorKind::BadResponse
    );
    assert_eq!(
        ask(&[KEY], &json!([{"id": "../../x"}])).unwrap_err().kind,
        ErrorKind::BadResponse
    );
}

#[test]
fn a_team_is_asked_for_once_and_forgotten_when_it_is_gone() {
    let service = masv(true);
    let context = ScriptedContext::new(&[KEY])
        .response("GET /v1/teams", 200, json!([{"id": "A"}]))
        .response(
            "GET /v1.1/teams/A/packages/P",
            200,
            json!({"access_token": "t"}),
        )
        .response("GET /v1.1/teams/A/packages/P", 404, "")
        .response("GET /v1.1/teams/A/packages?page=1&limit=50", 404, "")
        .response("GET /v1/teams", 200, json!([{"id": "B"}]));
    assert!(manage(&service, "P", &context).is_ok());
    assert_eq!(
        manage(&service, "P", &context).err().unwrap().kind,
        ErrorKind::NotFound
    );
    assert_eq!(service.team(&context).unwrap(), "B");
    context.sent();
}
