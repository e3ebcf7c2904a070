// The C++ wrapper: every member of every class, against the sandbox.
#include <keyferry.hpp>

#include <type_traits>

extern "C" {
#include "test.h"
}

namespace kf = keyferry;

template <typename Object>
constexpr bool moves_only = std::is_nothrow_move_constructible_v<Object> && std::is_nothrow_move_assignable_v<Object> &&
                            !std::is_copy_constructible_v<Object> && !std::is_copy_assignable_v<Object>;

static_assert(moves_only<kf::config> && moves_only<kf::request> && moves_only<kf::token> && moves_only<kf::session>);
static_assert(std::is_base_of_v<std::runtime_error, kf::error> && std::is_nothrow_copy_constructible_v<kf::error>);

template <typename Call>
static kf::error thrown_by(keyferry_status expected, Call call) {
    try {
        call();
    } catch (const kf::error &error) {
        if (error.status() != expected) {
            fprintf(stderr, "expected %d, got %d: %s\n", static_cast<int>(expected), static_cast<int>(error.status()), error.what());
        }
        CHECK(error.status() == expected);
        CHECK(*error.what() != '\0');
        return error;
    }
    fail_check(__FILE__, __LINE__, "nothing was thrown instead of:", keyferry_status_text(expected));
    std::abort();
}

static void free_functions_answer() {
    CHECK(kf::status_text(KEYFERRY_OK) == keyferry_status_text(KEYFERRY_OK));
    CHECK(kf::version() == required_env("TEST_VERSION"));
    CHECK(kf::abi_version() == KEYFERRY_ABI_VERSION);
}

static void errors_carry_every_detail() {
    const kf::session session;
    const kf::error agent = thrown_by(KEYFERRY_E_LOGIN_REQUIRED, [&] { session.masv_agent_session(); });
    CHECK(agent.http_status() == 401 && agent.service_code() == 262146 && !agent.retry_after());
    const kf::error local = thrown_by(KEYFERRY_E_INVALID_RESOURCE, [] { kf::request(""); });
    CHECK(!local.http_status() && !local.service_code() && !local.retry_after());
    control("POST", "fault", "{\"path\": \"/v1/auth\", \"status\": 429, \"retry_after\": \"600\"}");
    const kf::error throttled = thrown_by(KEYFERRY_E_THROTTLED, [&] { session.masv_login(); });
    CHECK(throttled.retry_after() > std::chrono::seconds(590) && throttled.retry_after() <= std::chrono::seconds(600));
    control("DELETE", "faults", "");
    const kf::error copy = agent;
    CHECK(std::string(copy.what()) == agent.what() && copy.service_code() == agent.service_code());
}

static void texts_are_never_cut_short() {
    const std::string split("us\0er", 5);
    thrown_by(KEYFERRY_E_INVALID_VALUE, [&] { kf::request request(split); });
    CHECK(kf::text().c_str() == nullptr && kf::text(nullptr).c_str() == nullptr);
    thrown_by(KEYFERRY_E_NULL_ARGUMENT, [] { kf::request request(nullptr); });
}

static void configurations_are_set_and_loaded() {
    kf::config config = kf::config::load();
    config.set("masv.api_key", std::string(required_env("TEST_API_KEY"))).set("http.timeout_ms", "5000");
    kf::config moved = std::move(config);
    const kf::token token = kf::session(moved).token_for("user");
    CHECK(token.header().name == "X-API-KEY" && token.value() == required_env("TEST_API_KEY"));
    CHECK(token.kind() == kf::token_kind::key && !token.expires());
    kf::config empty;
    thrown_by(KEYFERRY_E_CONFIG, [&] { empty.set("no.such.key", "x"); });
    thrown_by(KEYFERRY_E_INVALID_VALUE, [&] { empty.set("masv.api_key", "a\nb"); });
    thrown_by(KEYFERRY_E_CONFIG, [] { kf::config::load("/nowhere/at/all.toml"); });
    CHECK(empty.get() != nullptr);
}

static void requests_are_chained() {
    const kf::session session;
    kf::request link(required_env("TEST_PROTECTED_LINK"));
    link.link_password(required_env("TEST_LINK_PASSWORD"));
    link.min_valid(std::chrono::minutes(1)).timeout(std::chrono::seconds(20)).account(nullptr);
    CHECK(session.token_for(link).access() == kf::access::read);
    kf::request package = kf::request(required_env("TEST_PACKAGE"));
    package.access(kf::access::manage);
    CHECK(session.token_for(package).access() == kf::access::manage);
    package.account("nobody");
    thrown_by(KEYFERRY_E_NOT_CONFIGURED, [&] { session.token_for(package); });
    thrown_by(KEYFERRY_E_INVALID_VALUE, [&] { package.access(static_cast<kf::access>(77)); });
    thrown_by(KEYFERRY_E_INVALID_VALUE, [&] { package.timeout(std::chrono::hours(1)); });
    package.min_valid(std::chrono::seconds(-1)).min_valid(std::chrono::hours(1000000)).timeout(std::chrono::milliseconds(-1));
    const kf::request user("user");
    user.cancel();
    thrown_by(KEYFERRY_E_CANCELLED, [&] { kf::session().token_for(user); });
}

static void tokens_outlive_their_session() {
    std::optional<kf::session> session(std::in_place);
    kf::token token = session->masv_login(required_env("KEYFERRY_MASV_EMAIL"), required_env("KEYFERRY_MASV_PASSWORD"));
    const std::string_view value = token.value();
    session.reset();
    kf::token moved = std::move(token);
    CHECK(moved.value() == value && moved.header().value == value && moved.value().data()[value.size()] == '\0');
    CHECK(moved.header_count() == 1 && moved.header(0).name == "X-User-Token");
    CHECK(moved.header(1).name.empty() && moved.header(1).value.empty());
    CHECK(moved.service() == "masv" && moved.kind() == kf::token_kind::user && moved.access() == kf::access::full);
    CHECK(moved.expires() > std::chrono::system_clock::now() && moved.generation() > 0);
    CHECK(moved.details_json().find("\"teams\"") != std::string_view::npos);
    CHECK(http_status_with_token(moved.get(), required_env("KEYFERRY_MASV_URL"), "GET", "/v1/teams") == 200);
}

static void sessions_keep_reject_and_forget() {
    const kf::session session;
    const kf::request user("user");
    CHECK(!session.cached(user));
    CHECK(session.token_for(kf::request("user").login()).kind() == kf::token_kind::user);
    session.forget("user");
    const int descriptor = session.start(user);
    char byte = 1;
    CHECK(read(descriptor, &byte, 1) == 1 && close(descriptor) == 0);
    const kf::token first = user.token();
    thrown_by(KEYFERRY_E_INVALID_VALUE, [&] { user.token(); });
    CHECK(session.cached(user)->generation() == first.generation());
    char line[17000];
    std::size_t length = 0;
    CHECK(session.peek("user", line, sizeof line, length) == KEYFERRY_OK);
    CHECK(std::string_view(line, length) == "X-User-Token: " + std::string(first.value()));
    session.reject_value("user", "something else");
    sandbox_revoke(std::string(first.value()).c_str());
    session.reject(first);
    CHECK(session.token_for("user").generation() > first.generation());
    const kf::time_point expires{std::chrono::seconds(4000000000)};
    session.adopt("transfers/MINE", "made.by.hand", expires);
    CHECK(session.token_for("transfers/MINE").expires() == expires);
    session.adopt("transfers/OTHER", "made.by.hand");
    CHECK(!session.token_for("transfers/OTHER").expires());
    CHECK(session.explain("user").front() == '{' && session.list().front() == '[' && session.stats().front() == '{');
    session.forget("user");
    CHECK(!session.cached(user));
    thrown_by(KEYFERRY_E_NULL_ARGUMENT, [&] { session.forget(nullptr); });
    session.forget_all();
    CHECK(session.list().find("\"generation\"") == std::string::npos);
    const kf::error misspelt = thrown_by(KEYFERRY_E_INVALID_RESOURCE, [&] { session.token_for("packges/01ABC"); });
    CHECK(std::string_view(misspelt.what()).find("did you mean `packages/01ABC`?") != std::string_view::npos);
    thrown_by(KEYFERRY_E_INVALID_RESOURCE, [&] { session.cached(kf::request("fileverbs:beerer")); });
    thrown_by(KEYFERRY_E_UNKNOWN_SERVICE, [&] { session.cached(kf::request("https://elsewhere.example/")); });
    kf::session moved = kf::session();
    moved = kf::session::process_default();
    CHECK(moved.get() == nullptr && moved.token_for("user").kind() == kf::token_kind::user);
}

static void every_service_answers() {
    const kf::session session;
    CHECK(session.fileverbs_bearer().header().value.substr(0, 7) == "Bearer ");
    CHECK(session.fileverbs_secret_key().header().name == "SecretKey");
    CHECK(session.masv_agent_sign_in().find("\"user\"") != std::string::npos);
    CHECK(session.masv_agent_session().find("\"teams\"") != std::string::npos);
    thrown_by(KEYFERRY_E_UNSUPPORTED, [&] { session.masv_agent_sign_up("new@example.com", "pass", "New"); });
    thrown_by(KEYFERRY_E_BAD_CREDENTIALS, [&] { session.masv_login(nullptr, "wrong"); });
}

static void the_log_goes_to_a_function() {
    const auto count = std::make_shared<int>(0);
    kf::log_set_callback(kf::log_level::debug, [count](kf::log_level level, std::string_view message) {
        CHECK(level > kf::log_level::off && level <= kf::log_level::debug && !message.empty());
        ++*count;
        throw std::runtime_error("dropped");
    });
    kf::session().masv_login();
    CHECK(*count > 0 && count.use_count() == 2);
    thrown_by(KEYFERRY_E_INVALID_VALUE, [&] {
        kf::log_set_callback(static_cast<kf::log_level>(9), [count](kf::log_level, std::string_view) {});
    });
    CHECK(count.use_count() == 2);
    const int descriptor = kf::log_open_pipe(kf::log_level::info);
    CHECK(count.use_count() == 1);
    kf::session().masv_login();
    char byte = 0;
    CHECK(read(descriptor, &byte, 1) == 1 && byte >= '1' && byte <= '3' && close(descriptor) == 0);
    kf::log_set_callback(kf::log_level::off, nullptr);
}

int main() {
    free_functions_answer();
    errors_carry_every_detail();
    texts_are_never_cut_short();
    configurations_are_set_and_loaded();
    requests_are_chained();
    tokens_outlive_their_session();
    sessions_keep_reject_and_forget();
    every_service_answers();
    the_log_goes_to_a_function();
    return 0;
}
