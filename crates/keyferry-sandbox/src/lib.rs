//! Offline stand-ins for MASV cloud, the MASV Agent and FileVerbs, for tests and demos.
//!
//! A [`Sandbox`] serves all three services on loopback and checks every request strictly, so that a
//! client's mistake fails its test. It uses no network but loopback and writes nothing to disk. All
//! its data is made up; see [`credentials`]. The crate depends on no other crate of the workspace,
//! so it can't repeat a mistake of the library and thereby hide it.
//!
//! A request may carry at most one credential header, and it must be one that the route accepts.
//! Any other request is refused with a 4xx status and counted. Tokens are HS256 JWTs with exactly
//! the documented claims. The `kid` in their header makes two tokens of the same second differ.
//! Tokens are verified each time they are used. A virtual [`Clock`] decides when they expire and
//! sets every `Date` header. The pages of a listing are numbered from 1. The route that looks up a
//! single package doesn't find packages in the inbox.
//!
//! # Control routes
//!
//! Each of the three listeners has these routes. They need no credential and aren't counted. If the
//! body is invalid, the response is a 400 with `{"error": …}`.
//!
//! | route | body | effect |
//! |---|---|---|
//! | `GET /sandbox/counts` | | returns the counters: `{"login": 1, …}` |
//! | `GET /sandbox/requests` | | returns the last 2,000 requests: `[{service, method, path, headers, credentials}]`, with the names of headers but not their values |
//! | `POST /sandbox/reset` | `{}` or `{"all": true}` | clears the counters and the recorded requests; with `all`, resets everything except the clock |
//! | `GET /sandbox/clock` | | returns `{"now_unix_ms": N}` |
//! | `POST /sandbox/clock` | `{"advance_s": N}`, `{"offset_ms": N}` | advances the virtual clock, or sets its offset |
//! | `POST /sandbox/fault` | a fault, or an array of faults | adds faults; the first one that matches a request applies |
//! | `DELETE /sandbox/faults` | | removes all faults |
//! | `POST /sandbox/life` | `{"user": S, "package": S, "transfer": S, "bearer": S, "refresh": S}` | sets the lifetime, in seconds, of new tokens |
//! | `POST /sandbox/configure` | `{"key": value, …}` | changes behaviours, see below |
//! | `POST /sandbox/reject` | `{"token": "…"}` | refuses this token, API key or SecretKey from now on |
//! | | `{"kind": "user", "generation": N}` | refuses the N-th token of this kind, counted from the start |
//! | | `{"kind": "user", "next": N}` | refuses the next N tokens of this kind |
//!
//! A request to `/redirect-target…`, with any method, counts as `redirect_target`. Tests redirect
//! clients there.
//!
//! # Faults
//!
//! ```json
//! {"service": "masv", "method": "POST", "path": "/v1/auth", "times": 2, "skip": 1, "latency_ms": 50,
//!  "kind": "status", "status": 429, "body": "html", "retry_after": "120", "date_skew_s": -3600}
//! ```
//!
//! All fields are optional. `service`, `method` and `path` select the requests. `path` is a prefix
//! of the path, or of path and query if it contains a `?`. `skip` is the number of matching requests
//! that pass before the fault applies. `times` is the number of requests that it applies to: a
//! number (default 1) or `"forever"`. `latency_ms`, `retry_after` and `date_skew_s` can be added to
//! every kind. Without `kind`, the kind is `status` if there is a `status`, else `nothing`.
//!
//! | `kind` | further fields | effect |
//! |---|---|---|
//! | `nothing` | | the normal response |
//! | `status` | `status`, `body`: `json`, `html`, `empty` | an error response with this status; the request isn't carried out |
//! | `literal` | `status`, `media_type`, `body` | exactly this response; the request isn't carried out |
//! | `redirect` | `status`, `to` | a redirect; the request isn't carried out |
//! | `empty` | | the normal response with status 200 and an empty body |
//! | `null` | | the normal response with the body `null` |
//! | `half` | | the first half of the normal response, then the connection closes |
//! | `wrong_case` | | the normal response with all field names in upper case |
//! | `wrong_types` | | the normal response with a wrong type for each field |
//! | `huge` | `bytes` | a JSON object of this size, streamed |
//! | `deep` | `levels` | nested arrays |
//! | `endless` | | a chunked body that never ends |
//! | `drip` | `interval_ms` | the normal response, one byte per interval |
//! | `token` | `token` | the normal response with this value in every token field |
//! | `raw` | `body` | these bytes instead of an HTTP response; the request isn't carried out |
//! | `close`, `reset`, `hang` | | no response; the request isn't carried out |
//! | `lost` | | no response, although the request was carried out |
//!
//! # Behaviours
//!
//! | key | value (default) | controls |
//! |---|---|---|
//! | `auth_refusal_status` | status (401) | the status of a refused `POST /v1/auth` |
//! | `auth_refusal_json` | bool (true) | whether its body is a JSON error document or HTML |
//! | `teams` | number (1) | how many teams the first account has |
//! | `teams_shape` | `array` (default), `object` | the shape of `GET /v1/teams` |
//! | `preferred_team` | bool (true) | whether the login response has `preferred_team_id` and `primary_team_id` |
//! | `packages`, `inbox` | number (205, 3) | how many packages the first team and its inbox have |
//! | `single_lookup`, `paged_list`, `inbox_route` | bool or status (true) | whether the route works; `false` is a 404, a status is returned instead |
//! | `link_secret_status`, `link_password_status` | status (401) | the status for a wrong link secret or password |
//! | `download_secret` | bool (true) | whether the response for a new link has `download_secret` |
//! | `read_lists_transfers` | bool (true) | whether a read token may list transfers |
//! | `transfers_shape` | `array` (default), `object` | the shape of a package's transfer list |
//! | `opaque`, `no_exp` | array of token kinds (`[]`) | which kinds are random strings instead of JWTs, and which are JWTs without `exp` |
//! | `agent_signed_in` | bool (false) | whether a user is signed in to the agent |
//! | `agent_teams_shape` | `array` (default), `object` | the shape of the agent's `GET /teams` |
//! | `legacy` | bool (false) | whether the agent has `POST /signup` |
//! | `camel_case` | bool (false) | whether FileVerbs' token response has camelCase field names |
//! | `no_refresh_route` | bool or status (false) | whether FileVerbs' refresh route is missing; `true` is a 404, a status is returned instead |
//! | `refresh_path`, `refresh_cookie` | string | the path of FileVerbs' refresh route, and the name of its cookie |
//! | `refresh_rotates` | bool (true) | whether a refresh token works only once |
//! | `certificate` | `valid` (default), `expired`, `not_yet_valid`, `wrong_name`, `self_signed`, `unknown_ca` | the certificate of new connections, with TLS only |
//! | `refresh_refusal_status`, `fileverbs_refusal_status` | status (400) | the status of a refused refresh, and of a refused FileVerbs login |
//!
//! # Counters
//!
//! Counted when a request arrives, before it is handled: `requests`, `requests_masv`,
//! `requests_agent`, `requests_fileverbs`; `login`, `teams`, `lookup`, `list_page`, `list_all`,
//! `inbox`, `link`, `transfer_list`, `transfer_start`, `package_create`, `portal_create`,
//! `api_key_create`, `package_call`, `transfer_call`; `agent_session`, `agent_login`,
//! `agent_teams`, `agent_signup`; `fileverbs_login`, `refresh`, `revoke`, `fileverbs_call`.
//!
//! Counted when a request is refused: `two_credentials`, `foreign_credential` (another service's
//! header), `needless_credential` (on a route that needs none), `missing_credential`,
//! `agent_credential_header`, `agent_foreign_host`, `stray_cookie`, `stray_link_password`,
//! `wrong_content_type`, `bad_document`, `bad_token`, `expired_token`, `rejected_token`,
//! `foreign_token` (another package's or transfer's), `wrong_variant`, `bad_api_key`,
//! `key_refused`, `foreign_team`, `bad_page`, `login_refused`, `bad_link_secret`,
//! `bad_link_password`, `agent_no_session`, `agent_login_refused`, `bad_secret_key`,
//! `fileverbs_login_refused`, `refresh_refused`, `refresh_reuse`, `foreign_job`, `unknown_route`,
//! `wrong_method`.
//!
//! Other counters: `package_call_ok`, `transfer_call_ok`, `api_key_made`, `redirect_target`,
//! `faults_hit`, `connections`, `tls_refused`, and `status_NNN` for each status that was returned.

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
