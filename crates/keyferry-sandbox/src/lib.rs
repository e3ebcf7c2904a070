//! The sandbox: MASV cloud, the MASV Agent and FileVerbs on loopback, as an opponent that checks
//! everything.
//!
//! The crate depends on no other crate of the workspace, so that no mistake of the library can hide
//! in it. It reaches no network but loopback, writes nothing to disk, and all its data is made up
//! ([`credentials`]).
//!
//! Every request may carry one credential header at most, and the right one: anything else is
//! refused and counted. Tokens are HS256 JWTs with exactly the documented claims; a `kid` in their
//! header keeps two tokens of one second apart. They are verified on use, by a virtual [`Clock`]
//! that also writes every `Date` header. Pages of a listing begin at 1. The single look-up doesn't
//! know the inbox's packages.
//!
//! # Control routes
//!
//! The same on each of the three listeners, without a credential, not counted. A mistake is
//! answered with 400 and `{"error": …}`.
//!
//! | route | body | effect |
//! |---|---|---|
//! | `GET /sandbox/counts` | | `{"login": 1, …}` |
//! | `GET /sandbox/requests` | | the last 2,000: `[{service, method, path, headers, credentials}]`, names only |
//! | `POST /sandbox/reset` | `{}` or `{"all": true}` | forgets counts and requests, or everything |
//! | `GET /sandbox/clock` | | `{"now_unix_ms": N}` |
//! | `POST /sandbox/clock` | `{"advance_s": N}`, `{"offset_ms": N}` | moves the virtual clock |
//! | `POST /sandbox/fault` | a fault, or an array of them | adds faults; the first that matches acts |
//! | `DELETE /sandbox/faults` | | removes them |
//! | `POST /sandbox/life` | `{"user": S, "package": S, "transfer": S, "bearer": S, "refresh": S}` | lives of new tokens |
//! | `POST /sandbox/configure` | `{"key": value, …}` | changes behaviours, see below |
//! | `POST /sandbox/reject` | `{"token": "…"}` | refuses this token, API key or SecretKey from now on |
//! | | `{"kind": "user", "generation": N}` or `{"kind": "user", "next": N}` | refuses the N-th token issued since the start, or the next N |
//!
//! `ANY /redirect-target…` counts as `redirect_target`: the place to which redirects of a test may
//! lead.
//!
//! # Faults
//!
//! ```json
//! {"service": "masv", "method": "POST", "path": "/v1/auth", "times": 2, "skip": 1, "latency_ms": 50,
//!  "kind": "status", "status": 429, "body": "html", "retry_after": "120", "date_skew_s": -3600}
//! ```
//!
//! All fields are optional. `service`, `method` and `path` (a prefix; with a `?` in it, of path and
//! query) choose the requests; `skip` lets some pass first; `times` is 1 unless it says otherwise,
//! or `"forever"`. `latency_ms`, `retry_after` and `date_skew_s` go with every kind:
//!
//! | `kind` | further fields | effect |
//! |---|---|---|
//! | `nothing` | | latency and skew alone |
//! | `status` | `status`, `body`: `json`, `html`, `empty` | another status; the request isn't carried out |
//! | `literal` | `status`, `media_type`, `body` | an answer in these words |
//! | `redirect` | `status`, `to` | a redirect |
//! | `empty`, `null`, `half`, `wrong_case`, `wrong_types` | | spoils the true answer |
//! | `huge` | `bytes` | a JSON object of this size, streamed |
//! | `deep` | `levels` | arrays within arrays |
//! | `endless` | | chunks that never end |
//! | `drip` | `interval_ms` | the true answer, a byte at a time |
//! | `token` | `token` | another text in every token field |
//! | `raw` | `body` | these bytes in place of an HTTP answer |
//! | `close`, `reset`, `hang` | | no answer; the request isn't carried out |
//! | `lost` | | no answer, though the request was carried out |
//!
//! # Behaviours
//!
//! | key | value (default) | |
//! |---|---|---|
//! | `auth_refusal_status` | status (401) | of a refused `POST /v1/auth` |
//! | `auth_refusal_json` | bool (true) | its body: an error document, or HTML |
//! | `teams` | number (1) | teams of the first account |
//! | `teams_shape` | `array` (default), `object` | of `GET /v1/teams` |
//! | `preferred_team` | bool (true) | `preferred_team_id` and `primary_team_id` in the login's answer |
//! | `packages`, `inbox` | number (205, 3) | packages of the first team and of its inbox |
//! | `single_lookup`, `paged_list`, `inbox_route` | bool or status (true) | whether the route is there, or what it answers instead |
//! | `link_secret_status`, `link_password_status` | status (401) | of a wrong secret or password |
//! | `download_secret` | bool (true) | in the answer of a new link |
//! | `read_lists_transfers` | bool (true) | whether a read token may list transfers |
//! | `transfers_shape` | `array` (default), `object` | of a package's transfer list |
//! | `opaque`, `no_exp` | array of kinds (`[]`) | tokens without structure, JWTs without `exp` |
//! | `agent_signed_in` | bool (false) | the agent's session |
//! | `agent_teams_shape` | `array` (default), `object` | of the agent's `GET /teams` |
//! | `legacy` | bool (false) | the agent has `POST /signup` |
//! | `camel_case` | bool (false) | field names of FileVerbs' token call |
//! | `no_refresh_route` | bool or status (false) | 404, or this, for a refresh |
//! | `refresh_path`, `refresh_cookie` | text | where FileVerbs' refresh is, and its cookie |
//! | `refresh_rotates` | bool (true) | whether a refresh token works once |
//! | `certificate` | `valid` (default), `expired`, `not_yet_valid`, `wrong_name`, `self_signed`, `unknown_ca` | with TLS |
//! | `refresh_refusal_status`, `fileverbs_refusal_status` | status (400) | of a refused refresh, of a refused token call |
//!
//! # Counters
//!
//! As a request arrives, whatever becomes of it: `requests`, `requests_masv`, `requests_agent`,
//! `requests_fileverbs`; `login`, `teams`, `lookup`, `list_page`, `list_all`, `inbox`, `link`,
//! `transfer_list`, `transfer_start`, `package_create`, `portal_create`, `api_key_create`,
//! `package_call`, `transfer_call`; `agent_session`, `agent_login`, `agent_teams`, `agent_signup`;
//! `fileverbs_login`, `refresh`, `revoke`, `fileverbs_call`. Refusals: `two_credentials`,
//! `foreign_credential` (another service's header), `needless_credential` (on an open route),
//! `missing_credential`, `agent_credential_header`, `agent_foreign_host`, `stray_cookie`,
//! `stray_link_password`, `wrong_content_type`, `bad_document`, `bad_token`, `expired_token`,
//! `rejected_token`, `foreign_token` (another package's or transfer's), `wrong_variant`,
//! `bad_api_key`, `key_refused`, `foreign_team`, `bad_page`, `login_refused`, `bad_link_secret`,
//! `bad_link_password`, `agent_no_session`, `agent_login_refused`, `bad_secret_key`,
//! `fileverbs_login_refused`, `refresh_refused`, `refresh_reuse`, `foreign_job`, `unknown_route`,
//! `wrong_method`. Besides: `package_call_ok`, `transfer_call_ok`, `api_key_made`,
//! `redirect_target`, `faults_hit`, `connections`, `tls_refused`, and `status_NNN` for each status
//! answered.

mod agent;
mod apply_fault;
mod body;
mod checks;
mod clock;
mod connection;
mod control;
pub mod credentials;
mod dispatch;
mod fault_json;
mod faults;
mod fileverbs;
mod jwt;
mod masv;
mod options;
mod request;
mod response;
mod sandbox;
mod server;
mod service;
mod settings;
mod state;
mod tls;
mod tokens;

pub use clock::Clock;
pub use faults::{BodyKind, Fault, FaultAction};
pub use options::Options;
pub use request::RecordedRequest;
pub use sandbox::Sandbox;
pub use service::Service;
