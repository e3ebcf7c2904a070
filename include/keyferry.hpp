/*
 * keyferry for C++17: classes for the objects of keyferry.h. It is a header-only wrapper; link the same library as for C.
 *
 * Rules
 *   Errors     A function that returns an error status in C throws keyferry::error here. Destructors and accessors never throw.
 *   Ownership  A config, request, token or session owns its C object. It can be moved, but not copied. A moved-from object can only be
 *              assigned to or destroyed.
 *   Strings    Arguments have the type keyferry::text, which is made from a const char * or a std::string. They are UTF-8 and are
 *              borrowed until the function returns. A std::string_view that a method returns is borrowed from the object, and is valid
 *              until the object is destroyed or assigned to. Moving the object keeps the view valid. NUL follows the last character of
 *              the view, so data() is a C string.
 *   Secrets    Header values are secrets. keyferry does not wipe a copy in a std::string, so pass on the view instead of a copy, and
 *              destroy the token soon.
 *   Threads    As in keyferry.h: [any] means any thread, several at the same time; [one] means one thread at a time for the object.
 */

#ifndef KEYFERRY_HPP
#define KEYFERRY_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "keyferry.h"

namespace keyferry {

/// The failure of a call. It contains no secret. what() is the error message for people, with the remedy.
///
/// Errors: none. Ownership: owns copies of all details, and stays valid after its session is destroyed. Threads: [any].
class error : public std::runtime_error {
public:
    /// Takes ownership of the C object, which may be NULL, and frees it.
    error(keyferry_status status, keyferry_error *detail)
        : error(status, std::unique_ptr<keyferry_error, void (*)(keyferry_error *)>(detail, keyferry_error_free)) {}

    /// Returns the status: one of the KEYFERRY_E_ codes.
    keyferry_status status() const noexcept { return status_; }

    /// Returns the HTTP status of the response that caused the failure; std::nullopt if there was no response.
    std::optional<std::int32_t> http_status() const noexcept { return http_status_; }

    /// Returns the service's own error code, such as 262146 of the MASV Agent; std::nullopt if the service sent none.
    std::optional<std::int64_t> service_code() const noexcept { return service_code_; }

    /// Returns how long to wait before a retry; std::nullopt if no time is known.
    std::optional<std::chrono::milliseconds> retry_after() const noexcept { return retry_after_; }

private:
    using owner = std::unique_ptr<keyferry_error, void (*)(keyferry_error *)>;

    error(keyferry_status status, const owner &detail)
        : std::runtime_error(message_of(status, detail.get())),
          status_(status),
          http_status_(unless_zero(keyferry_error_http_status(detail.get()))),
          service_code_(unless_zero(keyferry_error_service_code(detail.get()))),
          retry_after_(milliseconds_unless_zero(keyferry_error_retry_after_ms(detail.get()))) {}

    static const char *message_of(keyferry_status status, const keyferry_error *detail) noexcept {
        const char *message = keyferry_error_message(detail);
        if (message == nullptr) {
            message = keyferry_status_text(status);
        }
        return message == nullptr ? "internal error in keyferry" : message;
    }

    template <typename Number>
    static std::optional<Number> unless_zero(Number number) noexcept {
        return number == 0 ? std::nullopt : std::optional<Number>(number);
    }

    static std::optional<std::chrono::milliseconds> milliseconds_unless_zero(std::uint64_t ms) noexcept {
        using rep = std::chrono::milliseconds::rep;
        constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<rep>::max());
        return ms == 0 ? std::nullopt : std::optional(std::chrono::milliseconds(static_cast<rep>(ms < largest ? ms : largest)));
    }

    keyferry_status status_;
    std::optional<std::int32_t> http_status_;
    std::optional<std::int64_t> service_code_;
    std::optional<std::chrono::milliseconds> retry_after_;
};

/// The type of string parameters. It refers to the caller's string without a copy.
///
/// Errors: KEYFERRY_E_INVALID_VALUE for a std::string that contains NUL, because C would read only the part before the NUL.
/// Ownership: borrows. Threads: [any].
class text {
public:
    /// No string, for functions that accept nullptr.
    text(std::nullptr_t = nullptr) noexcept : text_(nullptr) {}
    /// A string that ends in NUL, or NULL.
    text(const char *characters) noexcept : text_(characters) {}
    /// The characters of a std::string, which must not change or be destroyed during the call.
    text(const std::string &characters) : text_(characters.c_str()) {
        if (characters.find('\0') != std::string::npos) {
            throw error(KEYFERRY_E_INVALID_VALUE, nullptr);
        }
    }

    /// Returns the C string, which is borrowed.
    const char *c_str() const noexcept { return text_; }

private:
    const char *text_;
};

/// The kind of a token.
enum class token_kind : std::int32_t {
    key = KEYFERRY_TOKEN_KIND_KEY,
    user = KEYFERRY_TOKEN_KIND_USER,
    package = KEYFERRY_TOKEN_KIND_PACKAGE,
    transfer = KEYFERRY_TOKEN_KIND_TRANSFER,
    bearer = KEYFERRY_TOKEN_KIND_BEARER
};

/// The access that a token allows.
enum class access : std::int32_t {
    any = KEYFERRY_ACCESS_ANY,
    full = KEYFERRY_ACCESS_FULL,
    read = KEYFERRY_ACCESS_READ,
    write = KEYFERRY_ACCESS_WRITE,
    manage = KEYFERRY_ACCESS_MANAGE
};

/// The level of a log message. log_set_callback takes the most detailed level to log.
enum class log_level : std::int32_t {
    off = KEYFERRY_LOG_OFF,
    error = KEYFERRY_LOG_ERROR,
    warn = KEYFERRY_LOG_WARN,
    info = KEYFERRY_LOG_INFO,
    debug = KEYFERRY_LOG_DEBUG
};

/// The type of an expiry.
using time_point = std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>;

/// Helpers of this header. Applications must not use them.
namespace detail {

/// Calls a function that can fail, and throws if it does.
template <typename Function>
void call(Function function) {
    keyferry_error *failure = nullptr;
    const keyferry_status status = function(&failure);
    if (status != KEYFERRY_OK) {
        throw error(status, failure);
    }
}

inline std::string_view view(const char *borrowed) noexcept {
    return borrowed == nullptr ? std::string_view() : std::string_view(borrowed);
}

/// Calls a function that returns a string, copies the string and frees it.
template <typename Function>
std::string call_text(Function function) {
    char *text = nullptr;
    call([&](auto failure) { return function(&text, failure); });
    const std::unique_ptr<char, void (*)(char *)> owner(text, keyferry_text_free);
    return std::string(view(text));
}

/// Calls a function that creates an object.
template <typename Object, typename Function>
Object *call_object(Function function) {
    Object *object = nullptr;
    call([&](auto failure) { return function(&object, failure); });
    return object;
}

}  // namespace detail

/// Describes a status in words. The string is static. Errors: none. Threads: [any].
inline std::string_view status_text(keyferry_status status) noexcept { return detail::view(keyferry_status_text(status)); }

/// Returns the version of the library at run time. The string is static. Errors: none. Threads: [any].
inline std::string_view version() noexcept { return detail::view(keyferry_version()); }

/// Returns the ABI version of the library at run time. Errors: none. Threads: [any].
inline std::uint32_t abi_version() noexcept { return keyferry_abi_version(); }

/// An HTTP header. Both views are borrowed from the token.
struct header {
    std::string_view name;
    /// The value, a secret.
    std::string_view value;
};

/// A set of headers with an expiry. A token is immutable and stays valid after its session is destroyed.
///
/// Errors: none. Ownership: owns the C object; views are borrowed from it. Threads: [any].
class token {
public:
    /// Takes ownership of a C object.
    explicit token(keyferry_token *handle) noexcept : token_(handle, keyferry_token_free) {}

    /// Returns the number of headers of the token.
    std::size_t header_count() const noexcept { return keyferry_token_header_count(get()); }

    /// Returns a header; the first index is 0. The views are empty for an index of header_count() or more.
    keyferry::header header(std::size_t index = 0) const noexcept {
        return {detail::view(keyferry_token_header_name(get(), index)), detail::view(keyferry_token_header_value(get(), index))};
    }

    /// Returns the value of the first header. A scheme such as `Bearer` is removed from the value. The value is a secret.
    std::string_view value() const noexcept { return detail::view(keyferry_token_value(get())); }

    /// Returns the name of the service that the token is for.
    std::string_view service() const noexcept { return detail::view(keyferry_token_service(get())); }

    /// Returns the kind of the token.
    keyferry::token_kind kind() const noexcept { return static_cast<keyferry::token_kind>(keyferry_token_kind(get())); }

    /// Returns the access that the token allows.
    keyferry::access access() const noexcept { return static_cast<keyferry::access>(keyferry_token_access(get())); }

    /// Returns the expiry by the clock of the service; std::nullopt if the token is valid until the service rejects it.
    std::optional<time_point> expires() const noexcept {
        const std::int64_t at = keyferry_token_expires_unix_s(get());
        return at == KEYFERRY_NO_EXPIRY ? std::nullopt : std::optional(time_point(std::chrono::seconds(at)));
    }

    /// Returns the generation, a number that orders the tokens of one resource. A newer token has a greater number.
    std::uint64_t generation() const noexcept { return keyferry_token_generation(get()); }

    /// Returns other data that the service sent with the token, as a JSON object without secrets.
    std::string_view details_json() const noexcept { return detail::view(keyferry_token_details_json(get())); }

    /// Returns the C object, which this object still owns.
    const keyferry_token *get() const noexcept { return token_.get(); }

private:
    std::unique_ptr<keyferry_token, void (*)(keyferry_token *)> token_;
};

/// Settings for a session.
///
/// Errors: KEYFERRY_E_CONFIG, KEYFERRY_E_UNSAFE_FILE, KEYFERRY_E_INVALID_VALUE, KEYFERRY_E_NOT_UTF8. The message names file and key.
/// Ownership: owns the C object; a session copies what it needs. Threads: [one].
class config {
public:
    /// Creates an empty configuration. Reads no file and no environment variable.
    config() : config(detail::call_object<keyferry_config>(keyferry_config_new)) {}

    /// Loads a configuration file. If `path` is nullptr, loads the user's config.toml. Environment variables override the file.
    static config load(const text &path = nullptr) {
        return config(detail::call_object<keyferry_config>(
            [&](auto out, auto failure) { return keyferry_config_load(path.c_str(), out, failure); }));
    }

    /// Sets one value, which is always literal and overrides the file and the environment.
    config &set(const text &key, const text &value) {
        detail::call([&](auto failure) { return keyferry_config_set(config_.get(), key.c_str(), value.c_str(), failure); });
        return *this;
    }

    /// Returns the C object, which this object still owns.
    const keyferry_config *get() const noexcept { return config_.get(); }

private:
    explicit config(keyferry_config *handle) noexcept : config_(handle, keyferry_config_free) {}

    std::unique_ptr<keyferry_config, void (*)(keyferry_config *)> config_;
};

/// A resource and the requirements for its token.
///
/// Errors: KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_INVALID_VALUE, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_NULL_ARGUMENT.
/// Ownership: owns the C object, which copies the values that are set. Threads: [one], but [any] for cancel() and for the session functions that take the request.
class request {
public:
    /// Creates a request for a URL of a service, or for a short form such as `user`, `packages/ID` or `fileverbs:bearer`.
    explicit request(const text &resource)
        : request_(detail::call_object<keyferry_request>(
                       [&](auto out, auto failure) { return keyferry_request_new(resource.c_str(), out, failure); }),
                   keyferry_request_free) {}

    /// Sets how long the token must stay valid. With 0 or a negative value, keyferry refreshes the token only in
    /// its refresh windows (see "Refresh" in keyferry.h).
    request &min_valid(std::chrono::seconds duration) {
        return apply([&](auto object, auto failure) { return keyferry_request_set_min_valid_s(object, clamp(duration.count()), failure); });
    }

    /// Sets the access that the token must allow, instead of the access that the resource implies.
    request &access(keyferry::access access) {
        return apply([&](auto object, auto failure) {
            return keyferry_request_set_access(object, static_cast<std::int32_t>(access), failure);
        });
    }

    /// Sets the account to use; nullptr for the default account.
    request &account(const text &name) {
        return apply([&](auto object, auto failure) { return keyferry_request_set_account(object, name.c_str(), failure); });
    }

    /// Sets the password of a password-protected link; nullptr for no password.
    request &link_password(const text &password) {
        return apply([&](auto object, auto failure) { return keyferry_request_set_link_password(object, password.c_str(), failure); });
    }

    /// Makes a request for `user` log in to MASV, even if a token is cached or stored; nullptr for the configured value.
    request &login(const text &email = nullptr, const text &password = nullptr) {
        return apply([&](auto object, auto failure) {
            return keyferry_request_set_login(object, email.c_str(), password.c_str(), failure);
        });
    }

    /// Sets how long a call with this request may wait, at most 10 minutes; 0 for the configured `http.timeout_ms`.
    request &timeout(std::chrono::milliseconds duration) {
        return apply([&](auto object, auto failure) { return keyferry_request_set_timeout_ms(object, clamp(duration.count()), failure); });
    }

    /// Cancels the request for good. All calls that use the request, both waiting and later ones, throw KEYFERRY_E_CANCELLED.
    void cancel() const noexcept { keyferry_request_cancel(request_.get()); }

    /// Gets the result of session::start. Never waits. Errors: all errors of session::token_for, and KEYFERRY_E_INVALID_VALUE if the
    /// request is not started or has no result yet.
    keyferry::token token() const {
        return keyferry::token(detail::call_object<keyferry_token>(
            [&](auto out, auto failure) { return keyferry_request_token(request_.get(), out, failure); }));
    }

    /// Returns the C object, which this object still owns.
    const keyferry_request *get() const noexcept { return request_.get(); }

private:
    template <typename Call>
    request &apply(Call call) {
        detail::call([&](auto failure) { return call(request_.get(), failure); });
        return *this;
    }

    template <typename Number>
    static std::uint32_t clamp(Number number) noexcept {
        constexpr auto largest = std::numeric_limits<std::uint32_t>::max();
        if (number <= 0) {
            return 0;
        }
        return static_cast<std::uint64_t>(number) > largest ? largest : static_cast<std::uint32_t>(number);
    }

    std::unique_ptr<keyferry_request, void (*)(keyferry_request *)> request_;
};

/// A session: configuration, services, cache and store.
///
/// Errors: each function lists its own. Functions also throw KEYFERRY_E_FORKED if the session was opened before a fork.
/// Ownership: owns the C object. Tokens stay valid after the session is destroyed. No other thread may use a session while its
/// destructor runs.
/// Threads: [any].
class session {
public:
    /// Opens a session from the user's configuration. Makes no network request.
    session() : session(open(nullptr)) {}

    /// Opens a session from this configuration. Makes no network request.
    explicit session(const config &settings) : session(open(settings.get())) {}

    /// Returns the default session of the process, without ownership. The first call that uses the default session opens it from the
    /// user's configuration. A forked child opens its own default session.
    static session process_default() noexcept { return session(nullptr); }

    /// Gets the headers for the resource of a request. Uses the cached token if it is fresh, otherwise the store or a network request.
    /// Errors: all errors of token_for(resource), KEYFERRY_E_CANCELLED, KEYFERRY_E_TIMEOUT.
    token token_for(const request &request) const {
        return call_token([&](auto out, auto failure) { return keyferry_session_token_for(get(), request.get(), out, failure); });
    }

    /// Starts token_for on a thread of keyferry, and returns a file descriptor at once. When the descriptor becomes readable,
    /// request::token returns the result. The caller closes the descriptor.
    /// Errors: KEYFERRY_E_INVALID_VALUE if the request is started already, KEYFERRY_E_UNREACHABLE if too many files are open.
    int start(const request &request) const {
        std::int32_t out = -1;
        detail::call([&](auto failure) { return keyferry_session_start(get(), request.get(), &out, failure); });
        return out;
    }

    /// Gets the headers for a resource of any service. A path without a service name belongs to MASV. May make a network request.
    /// Errors: all errors of masv_token_for in keyferry.h.
    token token_for(const text &resource) const {
        return call_token([&](auto out, auto failure) { return masv_token_for(get(), resource.c_str(), out, failure); });
    }

    /// Gets an unexpired token from the cache; std::nullopt if there is none. Does not read the store and makes no network request. The
    /// first use of the default session opens it.
    /// Errors: KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_NOT_CONFIGURED if the account does not exist.
    std::optional<token> cached(const request &request) const {
        keyferry_token *out = nullptr;
        detail::call([&](auto failure) {
            const keyferry_status status = keyferry_session_cached(get(), request.get(), &out, failure);
            if (status != KEYFERRY_E_NOT_CACHED) {
                return status;
            }
            keyferry_error_free(*failure);
            return keyferry_status{KEYFERRY_OK};
        });
        return out == nullptr ? std::nullopt : std::optional<token>(std::in_place, out);
    }

    /// Copies the header line `Name: value` of a fresh cached token into a buffer, followed by a NUL. Sets `length` to the length of the
    /// line. Does not read the store and makes no network request. Allocates memory in two cases only: for a MASV link
    /// (`links/ID?secret=S`), and for a URL that keyferry must normalize. Examples are a URL with upper-case letters in its host, and a URL
    /// with percent-encoded characters. The first use of the default session opens it. Never throws: it returns the status of
    /// keyferry_session_peek. Wipe the buffer whatever the status is, because it may contain bytes of a token.
    keyferry_status peek(const char *resource, char *buffer, std::size_t capacity, std::size_t &length) const noexcept {
        return keyferry_session_peek(get(), resource, buffer, capacity, &length);
    }

    /// Reports that the service answered 401 to a token. Only this session stops using the token. Prefer reject_value. Errors: KEYFERRY_E_STORE.
    void reject(const token &refused) const {
        detail::call([&](auto failure) { return keyferry_session_reject(get(), refused.get(), failure); });
    }

    /// Reports that the service answered 401 to a header value at a resource. keyferry no longer returns the value for this resource.
    /// Errors: KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_STORE.
    void reject_value(const text &resource, const text &value) const {
        detail::call([&](auto failure) { return keyferry_session_reject_value(get(), resource.c_str(), value.c_str(), failure); });
    }

    /// Adds a token that the caller got from the service without keyferry. Without `expires`, keyferry reads the expiry from the token.
    /// Errors: KEYFERRY_E_INVALID_VALUE, KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE,
    ///         KEYFERRY_E_NO_HEADER, KEYFERRY_E_UNSUPPORTED, KEYFERRY_E_STORE.
    void adopt(const text &resource, const text &value, std::optional<time_point> expires = std::nullopt) const {
        const std::int64_t at = expires ? std::int64_t{expires->time_since_epoch().count()} : KEYFERRY_NO_EXPIRY;
        detail::call([&](auto failure) { return keyferry_session_adopt(get(), resource.c_str(), value.c_str(), at, failure); });
    }

    /// Removes everything that keyferry caches or stores for a resource.
    /// Errors: KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE.
    void forget(const text &resource) const {
        if (resource.c_str() == nullptr) {
            throw error(KEYFERRY_E_NULL_ARGUMENT, nullptr);
        }
        detail::call([&](auto failure) { return keyferry_session_forget(get(), resource.c_str(), failure); });
    }

    /// Removes everything that keyferry caches or stores for all accounts. Errors: KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE.
    void forget_all() const {
        detail::call([&](auto failure) { return keyferry_session_forget(get(), nullptr, failure); });
    }

    /// Explains how keyferry would get a token for a resource, and why, as a JSON object without secrets.
    /// Errors: KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER.
    std::string explain(const text &resource) const {
        return detail::call_text([&](auto out, auto failure) { return keyferry_session_explain(get(), resource.c_str(), out, failure); });
    }

    /// Lists the cached and the stored tokens as a JSON array without secrets. Errors: KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE.
    std::string list() const {
        return detail::call_text([&](auto out, auto failure) { return keyferry_session_list(get(), out, failure); });
    }

    /// Gets the counters of the session as a JSON object of numbers.
    std::string stats() const {
        return detail::call_text([&](auto out, auto failure) { return keyferry_session_stats(get(), out, failure); });
    }

    /// Logs in to MASV. nullptr stands for the configured value. Always sends a request. Errors: all errors of masv_login in keyferry.h.
    token masv_login(const text &email = nullptr, const text &password = nullptr) const {
        return call_token([&](auto out, auto failure) { return ::masv_login(get(), email.c_str(), password.c_str(), out, failure); });
    }

    /// Gets the user who is signed in to the MASV Agent, as a JSON object. Errors: all errors of masv_agent_session in keyferry.h.
    std::string masv_agent_session() const {
        return detail::call_text([&](auto out, auto failure) { return ::masv_agent_session(get(), out, failure); });
    }

    /// Signs in to the MASV Agent. nullptr stands for the configured value. Errors: all errors of masv_agent_sign_in in keyferry.h.
    std::string masv_agent_sign_in(const text &email = nullptr, const text &password = nullptr) const {
        return detail::call_text(
            [&](auto out, auto failure) { return ::masv_agent_sign_in(get(), email.c_str(), password.c_str(), out, failure); });
    }

    /// Creates an account through an old MASV Transfer Agent. Errors: all errors of masv_agent_sign_up in keyferry.h.
    std::string masv_agent_sign_up(const text &email, const text &password, const text &name) const {
        return detail::call_text([&](auto out, auto failure) {
            return ::masv_agent_sign_up(get(), email.c_str(), password.c_str(), name.c_str(), out, failure);
        });
    }

    /// Gets the Authorization header of FileVerbs. Errors: all errors of fileverbs_bearer in keyferry.h.
    token fileverbs_bearer() const {
        return call_token([&](auto out, auto failure) { return ::fileverbs_bearer(get(), out, failure); });
    }

    /// Gets the SecretKey header of FileVerbs. Errors: all errors of fileverbs_secret_key in keyferry.h.
    token fileverbs_secret_key() const {
        return call_token([&](auto out, auto failure) { return ::fileverbs_secret_key(get(), out, failure); });
    }

    /// Returns the C object, which this object still owns; NULL for the default session.
    const keyferry_session *get() const noexcept { return session_.get(); }

private:
    explicit session(keyferry_session *handle) noexcept : session_(handle, keyferry_session_free) {}

    static keyferry_session *open(const keyferry_config *settings) {
        return detail::call_object<keyferry_session>(
            [&](auto out, auto failure) { return keyferry_session_open(settings, out, failure); });
    }

    template <typename Function>
    static token call_token(Function function) {
        return token(detail::call_object<keyferry_token>(function));
    }

    std::unique_ptr<keyferry_session, void (*)(keyferry_session *)> session_;
};

/// Sends the log messages of the whole library, up to this level, to a pipe, and returns its reading end, which the caller closes. Each
/// message is one line: the digit of its level, a space, the message. A full pipe loses messages. The pipe replaces the function or the pipe
/// that was set before.
/// Errors: KEYFERRY_E_UNREACHABLE if too many files are open, KEYFERRY_E_REENTRANT from inside a log callback. Threads: [any].
inline int log_open_pipe(log_level level) {
    std::int32_t out = -1;
    detail::call([&](auto failure) { return keyferry_log_open_pipe(static_cast<std::int32_t>(level), &out, failure); });
    return out;
}

/// Receives a log message, which is borrowed until the function returns. Any thread may run the function, and several threads may run it at
/// the same time. The function must not call keyferry. Exceptions that it throws are ignored.
using log_callback = std::function<void(log_level, std::string_view)>;

/// Sets the function that receives the log messages of the whole library, up to this level. An empty function turns the log off. The
/// previous function is destroyed after its last call has returned.
///
/// Errors: KEYFERRY_E_REENTRANT from inside a log callback. Ownership: takes the function. Threads: [any].
inline void log_set_callback(log_level level, log_callback callback) {
    const auto number = static_cast<std::int32_t>(level);
    if (!callback) {
        detail::call([&](auto failure) { return keyferry_log_set_callback(number, nullptr, nullptr, nullptr, failure); });
        return;
    }
    auto owner = std::make_unique<log_callback>(std::move(callback));
    const keyferry_log_callback forward = [](std::int32_t message_level, const char *message, void *user_data) {
        try {
            (*static_cast<log_callback *>(user_data))(static_cast<log_level>(message_level), detail::view(message));
        } catch (...) {
            // keyferry called this lambda through C, so no exception may leave it.
        }
    };
    const keyferry_log_finalizer finalizer = [](void *user_data) { delete static_cast<log_callback *>(user_data); };
    detail::call([&](auto failure) { return keyferry_log_set_callback(number, forward, owner.get(), finalizer, failure); });
    static_cast<void>(owner.release());
}

}  // namespace keyferry

#endif
