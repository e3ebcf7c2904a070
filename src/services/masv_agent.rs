//! The MASV Agent on this machine: queries which user is signed in, and signs a user in.
//!
//! Requests to the agent need no credential header. The agent itself keeps the session.

use serde_json::{Value, json};

use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, RequiredAccess, ResourceKind};
use crate::ports::http::{Request, Response};
use crate::ports::service::{Acquired, Agent, AgentSession, Context, Service, Target, TokenSpec};
use crate::secret::Secret;
use crate::services::response;

const NAME: &str = "the MASV Agent";

/// The only resource of the MASV Agent.
const SESSION: Target<'_> = Target {
    resource_kind: ResourceKind::Session,
    id: "",
    required: RequiredAccess::Only(Access::Full),
    parent: None,
};

/// The MASV Agent, for one account.
pub struct MasvAgent {
    base: BaseUrl,
}

impl MasvAgent {
    /// Creates the service from the configuration of an account.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `agent.url` is invalid.
    pub fn open(profile: &Profile) -> Result<Self> {
        Ok(Self {
            base: profile.base_url("agent.url", &["/api/v1"])?,
        })
    }

    #[cfg(test)]
    pub(super) fn new(base: BaseUrl) -> Self {
        Self { base }
    }

    fn get(&self, path: &str, context: &dyn Context) -> Result<Response> {
        context
            .send(&Request::get(self.base.join(path)?))
            .map_err(|error| self.explain_unreachable(error))
    }

    /// Sends a request whose body contains the user's secrets.
    fn post(
        &self,
        path: &str,
        body: &Value,
        secrets: &[&Secret],
        context: &dyn Context,
    ) -> Result<Response> {
        let request = Request::post(self.base.join(path)?, Some(Secret::new(body.to_string())));
        let refused = |response: &Response| {
            let message = "the MASV Agent rejected the e-mail and password; check them, or for an account with MFA or SSO set an API key \
                        in the agent's configuration (auth.api_key)";
            matches!(response.status, 400 | 401 | 403 | 409 | 422)
                .then(|| response::error(ErrorKind::BadCredentials, message, response, secrets))
        };
        context
            .login(secrets, &request, &refused)
            .map_err(|error| self.explain_unreachable(error))
    }

    /// Replaces the message about a refused connection by one that says how to start the agent.
    fn explain_unreachable(&self, error: Error) -> Error {
        let is_refused = error.message().contains(": connection refused; ");
        if error.kind != ErrorKind::Unreachable || !is_refused {
            return error;
        }
        let message = format!(
            "cannot connect to the MASV Agent at {}: connection refused; start it (`masv server start`), or set `agent.url`",
            self.base
        );
        Error::new(ErrorKind::Unreachable, message)
            .with_retry_after_ms(error.retry_after_ms)
            .with_since_unix_s(error.since_unix_s)
    }

    /// Parses the user and the teams in a response. Fetches the teams if the response has none.
    fn parse_session(
        &self,
        route: &str,
        response: Response,
        context: &dyn Context,
    ) -> Result<AgentSession> {
        let mut document = response::parse(NAME, &response)?;
        drop(response);
        let user = response::take(&mut document, "user");
        if !user.is_object() {
            let message = format!(
                "the response to {route} has no `user`; check that a MASV Agent listens at `agent.url`"
            );
            return Err(Error::new(ErrorKind::BadResponse, message));
        }
        let teams = match response::take(&mut document, "teams") {
            Value::Array(teams) => teams,
            _ => self.teams(context)?,
        };
        Ok(AgentSession { user, teams })
    }

    fn teams(&self, context: &dyn Context) -> Result<Vec<Value>> {
        let route = "GET /api/v1/teams";
        let response = self.get("/api/v1/teams", context)?;
        if !response::is_success(&response) {
            return Err(unexpected(route, &response, &[]));
        }
        let document = response::parse(NAME, &response)?;
        let no_list = || {
            Error::new(
                ErrorKind::BadResponse,
                format!("the response to {route} has no list of teams; check `agent.url`"),
            )
        };
        drop(response);
        response::into_list(document, &["teams"]).ok_or_else(no_list)
    }
}

/// Creates the error for a response that is not a success.
fn unexpected(route: &str, response: &Response, secrets: &[&Secret]) -> Error {
    let status = response.status;
    let (kind, message) = match status {
        401 | 403 => (
            ErrorKind::LoginRequired,
            "no user is signed in to the MASV Agent; start it with an API key in its configuration (auth.api_key) or environment, \
             never on its command line, or sign in with `masv.email` and `masv.password`"
                .to_owned(),
        ),
        404 | 405 | 501 => {
            (ErrorKind::Unsupported, format!("the program at `agent.url` does not support {route}; check the URL and the agent's version"))
        }
        _ => (ErrorKind::BadResponse, format!("the MASV Agent responded to {route} with status {status}; check `agent.url`, or restart the agent")),
    };
    response::error(kind, message, response, secrets)
}

impl Service for MasvAgent {
    fn name(&self) -> &str {
        "agent"
    }

    fn title(&self) -> &str {
        "the MASV Agent"
    }

    fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn prefixes(&self) -> &[&str] {
        &["/api/v1/"]
    }

    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>> {
        if path.is_empty() {
            return Err(Error::new(
                ErrorKind::UnknownService,
                "the path is empty; request agent:session",
            ));
        }
        Ok(SESSION)
    }

    fn short_forms(&self) -> &[&str] {
        &["session"]
    }

    fn classify_short_form<'a>(&self, path: &'a str, query: Option<&str>) -> Option<Target<'a>> {
        (path == "session" && query.is_none()).then_some(SESSION)
    }

    fn acquire(&self, _spec: &TokenSpec<'_>, _context: &dyn Context) -> Result<Acquired> {
        let message = "requests to the MASV Agent need no header; run `keyferry agent` or call masv_agent_session to see \
                    which user is signed in";
        Err(Error::new(ErrorKind::NoHeader, message))
    }

    fn agent(&self) -> Option<&dyn Agent> {
        Some(self)
    }
}

impl Agent for MasvAgent {
    fn session(&self, context: &dyn Context) -> Result<AgentSession> {
        let route = "GET /api/v1/login";
        let response = self.get("/api/v1/login", context)?;
        if !response::is_success(&response) {
            return Err(unexpected(route, &response, &[]));
        }
        self.parse_session(route, response, context)
    }

    fn sign_in(
        &self,
        email: &Secret,
        password: &Secret,
        context: &dyn Context,
    ) -> Result<AgentSession> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the body of the sign-in is sent to the agent"
        )]
        let body = json!({ "email": email.expose(), "password": password.expose() });
        let secrets = [email, password];
        let response = self.post("/api/v1/login", &body, &secrets, context)?;
        if matches!(response.status, 404 | 405 | 501) {
            let message = "this MASV Agent does not support signing in; start it with an API key in its configuration (auth.api_key)";
            return Err(response::error(
                ErrorKind::Unsupported,
                message,
                &response,
                &secrets,
            ));
        }
        self.session_after_login("POST /api/v1/login", response, &secrets, context)
    }

    fn sign_up(
        &self,
        email: &Secret,
        password: &Secret,
        name: &str,
        context: &dyn Context,
    ) -> Result<AgentSession> {
        let route = "POST /api/v1/signup";
        #[expect(
            clippy::disallowed_methods,
            reason = "the body of the sign-up is sent to the agent"
        )]
        let body = json!({ "email": email.expose(), "password": password.expose(), "name": name });
        let secrets = [email, password];
        let response = self.post("/api/v1/signup", &body, &secrets, context)?;
        if matches!(response.status, 404 | 405 | 501) {
            let message = "this MASV Agent cannot create accounts; sign up at massive.io, and start the agent with an API key (auth.api_key)";
            return Err(response::error(
                ErrorKind::Unsupported,
                message,
                &response,
                &secrets,
            ));
        }
        self.session_after_login(route, response, &secrets, context)
    }
}

impl MasvAgent {
    /// Parses the session in the response to a login. If the response is a success with an empty
    /// body, fetches the session.
    fn session_after_login(
        &self,
        route: &str,
        response: Response,
        secrets: &[&Secret],
        context: &dyn Context,
    ) -> Result<AgentSession> {
        if !response::is_success(&response) {
            return Err(unexpected(route, &response, secrets));
        }
        if response.body.is_empty() {
            self.session(context)
        } else {
            self.parse_session(route, response, context)
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;
    use crate::services::test_context::{HOSTILE, ScriptedContext, spec};

    const LOGIN: &str = "GET /api/v1/login";
    const TEAMS: &str = "GET /api/v1/teams";

    fn agent() -> MasvAgent {
        MasvAgent::new(
            BaseUrl::parse("agent.url", "http://localhost:8080/api/v1", &["/api/v1"]).unwrap(),
        )
    }

    fn secrets() -> (Secret, Secret) {
        (
            Secret::from("ann@example.com"),
            Secret::from("hunter2-hunter2"),
        )
    }

    fn whole() -> Value {
        json!({ "user": { "id": "U" }, "teams": [{ "id": "T" }] })
    }

    fn whole_session() -> AgentSession {
        AgentSession {
            user: json!({ "id": "U" }),
            teams: vec![json!({ "id": "T" })],
        }
    }

    #[test]
    fn only_one_word_is_a_short_form() {
        let kind = |path, query| {
            let target = agent().classify_short_form(path, query)?;
            Some(target.resource_kind)
        };
        assert_eq!(kind("session", None), Some(ResourceKind::Session));
        for (path, query) in [
            ("sesion", None),
            ("session/", None),
            ("session", Some("")),
            ("login", None),
        ] {
            assert_eq!(kind(path, query), None, "{path}");
        }
    }

    #[test]
    fn every_path_is_the_session_and_has_no_header() {
        for path in ["session", "login", "teams", "packages/P"] {
            assert_eq!(
                agent().classify(path).unwrap().resource_kind,
                ResourceKind::Session
            );
        }
        assert_eq!(
            agent().classify("").unwrap_err().kind,
            ErrorKind::UnknownService
        );
        let wanted = spec(ResourceKind::Session, "", Access::Full);
        assert_eq!(
            agent()
                .acquire(&wanted, &ScriptedContext::new(&[]))
                .err()
                .unwrap()
                .kind,
            ErrorKind::NoHeader
        );
    }

    #[test]
    fn who_is_signed_in_is_told_with_the_teams() {
        let context = ScriptedContext::new(&[]).response(LOGIN, 200, whole());
        assert_eq!(agent().session(&context).unwrap(), whole_session());
        for teams in [json!([{"id": "T"}]), json!({"teams": [{"id": "T"}]})] {
            let context = ScriptedContext::new(&[])
                .response(LOGIN, 200, json!({"User": {"id": "U"}}))
                .response(TEAMS, 200, teams);
            assert_eq!(agent().session(&context).unwrap(), whole_session());
            assert!(context.sent().iter().all(|sent| sent.headers.is_empty()));
        }
    }

    #[test]
    fn without_a_session_the_error_says_how_to_get_one() {
        let context = ScriptedContext::new(&[]).response(
            LOGIN,
            401,
            r#"{"code":262146,"message":"session is nil"}"#,
        );
        let error = agent().session(&context).unwrap_err();
        assert_eq!(
            (error.kind, error.http_status, error.service_code),
            (ErrorKind::LoginRequired, Some(401), Some(262_146))
        );
        assert!(
            error.message().contains("auth.api_key")
                && error.message().contains("never on its command line"),
            "{error}"
        );
        let unreachable = |message: &'static str| {
            let error = Error::new(ErrorKind::Unreachable, message);
            let context = ScriptedContext::new(&[]).failure_with(LOGIN, error);
            agent().session(&context).unwrap_err()
        };
        let error = unreachable("cannot connect to 127.0.0.1:1: connection refused; check it");
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert!(
            error.message().contains("masv server start") && error.message().contains("agent.url"),
            "{error}"
        );
        let other = "cannot connect to 127.0.0.1:1: too many open files; raise the limit";
        assert_eq!(unreachable(other).message(), other);
        let context = ScriptedContext::new(&[]).failure(LOGIN, ErrorKind::NoResponse);
        assert_eq!(
            agent().session(&context).unwrap_err().kind,
            ErrorKind::NoResponse
        );
        for (status, kind) in [(404, ErrorKind::Unsupported), (418, ErrorKind::BadResponse)] {
            assert_eq!(
                agent()
                    .session(&ScriptedContext::new(&[]).response(LOGIN, status, ""))
                    .unwrap_err()
                    .kind,
                kind
            );
        }
    }

    #[test]
    fn signing_in_sends_a_login_and_believes_an_empty_success() {
        let (email, password) = secrets();
        let context = ScriptedContext::new(&[]).response("POST /api/v1/login", 200, whole());
        assert_eq!(
            agent().sign_in(&email, &password, &context).unwrap(),
            whole_session()
        );
        assert_eq!(context.sent()[0].via, "login");
        assert_eq!(
            context.sent()[0].body,
            r#"{"email":"ann@example.com","password":"hunter2-hunter2"}"#
        );
        let context = ScriptedContext::new(&[])
            .response("POST /api/v1/login", 200, "")
            .response(LOGIN, 200, whole());
        assert_eq!(
            agent().sign_in(&email, &password, &context).unwrap(),
            whole_session()
        );
        for (status, kind) in [
            (401, ErrorKind::BadCredentials),
            (405, ErrorKind::Unsupported),
            (418, ErrorKind::BadResponse),
        ] {
            let context = ScriptedContext::new(&[]).response(
                "POST /api/v1/login",
                status,
                r#"{"message":"no hunter2-hunter2"}"#,
            );
            let error = agent().sign_in(&email, &password, &context).unwrap_err();
            assert_eq!(error.kind, kind);
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn signing_up_works_where_an_old_agent_has_the_route() {
        let (email, password) = secrets();
        let of = |status: u16, body: Value| {
            let context = ScriptedContext::new(&[]).response("POST /api/v1/signup", status, body);
            agent().sign_up(&email, &password, "Ann", &context)
        };
        assert_eq!(of(201, whole()).unwrap(), whole_session());
        for (status, kind) in [
            (404, ErrorKind::Unsupported),
            (405, ErrorKind::Unsupported),
            (400, ErrorKind::BadCredentials),
            (409, ErrorKind::BadCredentials),
        ] {
            assert_eq!(of(status, json!({})).unwrap_err().kind, kind);
        }
    }

    #[test]
    fn a_hostile_document_is_a_bad_answer() {
        for body in HOSTILE {
            assert_eq!(
                agent()
                    .session(&ScriptedContext::new(&[]).response(LOGIN, 200, body))
                    .unwrap_err()
                    .kind,
                ErrorKind::BadResponse,
                "{body}"
            );
        }
    }
}
