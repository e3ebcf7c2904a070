//! Tests tokens from links, from a package's list of transfers, and adopted tokens.

use super::*;

#[test]
fn a_link_opens_its_package() {
    let (secret, password) = (Secret::from("link+secret/="), Secret::from("pw-of-link"));
    let body = json!({"package_token": "t", "package_id": "P", "expiry": "2030-01-01T00:00:00.000Z", "name": "n", "package_size": 5});
    let context =
        ScriptedContext::new(&[]).response("GET /v1/links/L?secret=link%2Bsecret%2F%3D", 200, body);
    let wanted = TokenSpec {
        link_secret: Some(&secret),
        link_password: Some(&password),
        ..spec(ResourceKind::Link, "L", Access::Read)
    };
    let found = masv(true).acquire(&wanted, &context).unwrap().found;
    assert_eq!(
        (found.resource_kind, found.id.as_str(), found.access),
        (ResourceKind::Package, "P", Access::Read)
    );
    assert_eq!(
        (headers(&found.new_token), found.new_token.expiry),
        (vec!["X-Package-Token: t".into()], Expiry::Never)
    );
    let sent = context.sent();
    assert_eq!(
        (sent[0].via, sent[0].headers.as_slice()),
        ("login", &["X-Link-Password: pw-of-link".to_owned()][..])
    );
}

#[test]
fn each_status_of_a_link_has_its_kind() {
    let secret = Secret::from("link-secret");
    let rows = [
        (400, ErrorKind::BadCredentials),
        (401, ErrorKind::BadCredentials),
        (403, ErrorKind::BadCredentials),
        (404, ErrorKind::NotFound),
        (410, ErrorKind::NotFound),
        (405, ErrorKind::Unsupported),
    ];
    for (status, kind) in rows {
        let body = r#"{"message":"GET /links/L?secret=link-secret failed"}"#;
        let context =
            ScriptedContext::new(&[]).response("GET /v1/links/L?secret=link-secret", status, body);
        let wanted = TokenSpec {
            link_secret: Some(&secret),
            ..spec(ResourceKind::Link, "L", Access::Read)
        };
        let error = checked(masv(true).acquire(&wanted, &context).err().unwrap());
        assert_eq!((error.kind, error.http_status), (kind, Some(status)));
    }
    let error = masv(true)
        .acquire(
            &spec(ResourceKind::Link, "L", Access::Read),
            &ScriptedContext::new(&[]),
        )
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::InvalidResource);
}

fn transfer(parent: Option<&str>, context: &ScriptedContext) -> Result<Acquired> {
    masv(true)
        .acquire(
            &TokenSpec {
                parent,
                ..spec(ResourceKind::Transfer, "X", Access::Full)
            },
            context,
        )
        .map_err(checked)
}

#[test]
fn a_transfer_is_found_in_its_packages_list() {
    let list = json!([{"id": "W", "access_token": "w"}, {"id": "X", "state": "running", "access_token": "x"}]);
    for access in [Access::Manage, Access::Read] {
        for body in [
            list.clone(),
            json!({"transfers": list}),
            json!({"id": "X", "access_token": "x"}),
        ] {
            let context = ScriptedContext::new(&[]).token(
                ResourceKind::Package,
                "P",
                access,
                "X-Package-Token",
                "p",
                Value::Null,
            );
            let context = context.response("GET /v1/packages/P/transfer", 200, body);
            let found = transfer(Some("P"), &context).unwrap().found;
            assert_eq!(
                (found.resource_kind, found.id.as_str(), found.access),
                (ResourceKind::Transfer, "X", Access::Full)
            );
            assert_eq!(headers(&found.new_token), ["X-Transfer-Token: x"]);
            assert_eq!(context.sent()[0].headers, ["X-Package-Token: p"]);
        }
    }
}

#[test]
fn a_transfer_without_a_package_or_list_says_what_to_ask_for() {
    let error = transfer(None, &ScriptedContext::new(&[])).err().unwrap();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error.message().contains("packages/PACKAGE/transfers/X")
            && error.message().contains("adopt"),
        "{error}"
    );
    let rows = [
        (200, "[]", ErrorKind::NotFound),
        (204, "", ErrorKind::NotFound),
        (200, "", ErrorKind::BadResponse),
        (
            200,
            "[{\"id\":\"X\",\"access_token\":null}]",
            ErrorKind::BadResponse,
        ),
        (200, "{}", ErrorKind::BadResponse),
        (403, "", ErrorKind::InsufficientAccess),
        (404, "", ErrorKind::NotFound),
        (410, "", ErrorKind::NotFound),
        (405, "", ErrorKind::Unsupported),
    ];
    for (status, body, kind) in rows {
        let context = ScriptedContext::new(&[]).token(
            ResourceKind::Package,
            "P",
            Access::Manage,
            "X-Package-Token",
            "p",
            Value::Null,
        );
        let context = context.response("GET /v1/packages/P/transfer", status, body);
        assert_eq!(
            transfer(Some("P"), &context).err().unwrap().kind,
            kind,
            "{status} {body}"
        );
    }
    assert_eq!(
        transfer(Some("P"), &ScriptedContext::new(&[]))
            .err()
            .unwrap()
            .kind,
        ErrorKind::NotFound
    );
}

#[test]
fn a_packages_token_that_ended_early_is_got_once_more() {
    let context = ScriptedContext::new(&[])
        .token(
            ResourceKind::Package,
            "P",
            Access::Manage,
            "X-Package-Token",
            "one",
            Value::Null,
        )
        .token(
            ResourceKind::Package,
            "P",
            Access::Manage,
            "X-Package-Token",
            "two",
            Value::Null,
        )
        .response("GET /v1/packages/P/transfer", 401, "")
        .response(
            "GET /v1/packages/P/transfer",
            200,
            r#"[{"id":"X","access_token":"x"}]"#,
        );
    assert!(transfer(Some("P"), &context).is_ok());
    assert_eq!(*context.rejected.borrow(), ["one"]);
    context.sent();
}

#[test]
fn what_a_caller_got_itself_is_adopted_under_its_own_name() {
    let service = masv(false);
    let adopt = |path: &'static str, value: &str| {
        service.adopt(&service.classify(path).unwrap(), Secret::from(value))
    };
    let rows = [
        (
            "packages/P",
            ResourceKind::Package,
            "P",
            Access::Write,
            "X-Package-Token: v",
        ),
        (
            "packages/P/files",
            ResourceKind::Package,
            "P",
            Access::Write,
            "X-Package-Token: v",
        ),
        (
            "packages/P/files/F/download",
            ResourceKind::Package,
            "P",
            Access::Read,
            "X-Package-Token: v",
        ),
        (
            "transfers/X",
            ResourceKind::Transfer,
            "X",
            Access::Full,
            "X-Transfer-Token: v",
        ),
    ];
    for (path, resource_kind, id, access, header) in rows {
        let found = adopt(path, "v").unwrap();
        assert_eq!(
            (found.resource_kind, found.id.as_str(), found.access),
            (resource_kind, id, access),
            "{path}"
        );
        assert_eq!(headers(&found.new_token), [header]);
    }
    for none in [
        "",
        " ",
        "undefined",
        "null",
        "None",
        "[object Object]",
        "a\r\nb",
        "a b",
        " a",
        "ü",
    ] {
        assert_eq!(
            checked(adopt("packages/P", none).err().unwrap()).kind,
            ErrorKind::InvalidValue,
            "{none:?}"
        );
    }
    assert_eq!(
        adopt("links/L", "v").err().unwrap().kind,
        ErrorKind::Unsupported
    );
    for has_key in [false, true] {
        let masv = masv(has_key);
        assert_eq!(
            masv.adopt(&masv.classify("user").unwrap(), Secret::from("v"))
                .err()
                .unwrap()
                .kind,
            ErrorKind::Unsupported
        );
    }
}

#[test]
fn an_id_leads_to_no_other_route() {
    for id in ["%2e%2e", "..", "%2E.", "a?b", "a#b", "a/b", "a\\b"] {
        let context = ScriptedContext::new(&[KEY, ("masv.team", TEAM)]);
        assert_eq!(
            manage(&masv(true), id, &context).err().unwrap().kind,
            ErrorKind::InvalidResource,
            "{id}"
        );
        assert_eq!(
            transfer(Some(id), &context).err().unwrap().kind,
            ErrorKind::InvalidResource,
            "{id}"
        );
        assert!(context.sent().is_empty());
    }
}
