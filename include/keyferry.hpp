/*
 * keyferry for C++17: the objects of keyferry.h as classes. Header only; link the same library.
 *
 * Rules
 *   Errors     What returns a status in C throws keyferry::error here. Destructors and accessors never throw.
 *   Ownership  A config, request, token or session owns its C object, can be moved and not copied. A moved-from object may only be
 *              assigned to or destroyed.
 *   Text       In: keyferry::text, made from a const char * or a std::string, UTF-8, borrowed for the call.
 *              Out: a std::string_view that a class gives is borrowed from that object, valid as long as the object is neither
 *              destroyed nor assigned to; behind its last character stands NUL, so its data() is a C string. Moving the object keeps it.
 *   Secrets    Values of headers are secrets. A copy in a std::string isn't wiped: hand the view on and let the token go.
 *   Threads    As in keyferry.h: [any] any thread, several at once; [one] one thread at a time for that object.
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

/// Why a call failed. Holds no secret; what() is one sentence for people, with the remedy.
///
/// Errors: none. Ownership: a value, independent of every session. Threads: [any].
class error : public std::runtime_error {
public:
    /// Takes the C object, which may be NULL, and frees it.
    error(keyferry_status status, keyferry_error *detail)
        : error(status, std::unique_ptr<keyferry_error, void (*)(keyferry_error *)>(detail, keyferry_error_free)) {}

    /// One of the KEYFERRY_E_ numbers.
    keyferry_status status() const noexcept { return status_; }

    /// The HTTP status behind the failure; nothing where no answer came.
    std::optional<std::int32_t> http_status() const noexcept { return http_status_; }

    /// The service's own number, such as 262146 of the MASV Agent; nothing where it sent none.
    std::optional<std::int64_t> service_code() const noexcept { return service_code_; }

    /// After how many milliseconds a new try makes sense; nothing where nobody named a time.
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
        return message == nullptr ? "a fault inside keyferry" : message;
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

/// A text for a call: a parameter type, made from what the caller has without a copy.
///
/// Errors: a std::string with a NUL inside throws KEYFERRY_E_INVALID_VALUE: C would read its beginning only.
/// Ownership: borrows. Threads: [any].
class text {
public:
    /// No text, where a function allows that.
    text(std::nullptr_t = nullptr) noexcept : text_(nullptr) {}
    /// A text that ends in NUL, or NULL.
    text(const char *characters) noexcept : text_(characters) {}
    /// The string's characters, as long as it isn't changed.
    text(const std::string &characters) : text_(characters.c_str()) {
        if (characters.find('\0') != std::string::npos) {
            throw error(KEYFERRY_E_INVALID_VALUE, nullptr);
        }
    }

    /// The C string, borrowed.
    const char *c_str() const noexcept { return text_; }

private:
    const char *text_;
};

/// What a token is.
enum class token_kind : std::int32_t {
    key = KEYFERRY_TOKEN_KIND_KEY,
    user = KEYFERRY_TOKEN_KIND_USER,
    package = KEYFERRY_TOKEN_KIND_PACKAGE,
    transfer = KEYFERRY_TOKEN_KIND_TRANSFER,
    bearer = KEYFERRY_TOKEN_KIND_BEARER
};

/// What a token allows.
enum class access : std::int32_t {
    any = KEYFERRY_ACCESS_ANY,
    full = KEYFERRY_ACCESS_FULL,
    read = KEYFERRY_ACCESS_READ,
    write = KEYFERRY_ACCESS_WRITE,
    manage = KEYFERRY_ACCESS_MANAGE
};

/// How severe a message is, and how much is logged.
enum class log_level : std::int32_t {
    off = KEYFERRY_LOG_OFF,
    error = KEYFERRY_LOG_ERROR,
    warn = KEYFERRY_LOG_WARN,
    info = KEYFERRY_LOG_INFO,
    debug = KEYFERRY_LOG_DEBUG
};

/// When a token ends.
using time_point = std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>;

/// What every call of this header goes through: not for users.
namespace detail {

/// Makes a call that can fail.
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

/// Calls a function that gives a text, and takes the text over.
template <typename Function>
std::string call_text(Function function) {
    char *text = nullptr;
    call([&](auto failure) { return function(&text, failure); });
    const std::unique_ptr<char, void (*)(char *)> owner(text, keyferry_text_free);
    return std::string(view(text));
}

/// Calls a function that makes an object.
template <typename Object, typename Function>
Object *call_object(Function function) {
    Object *object = nullptr;
    call([&](auto failure) { return function(&object, failure); });
    return object;
}

}  // namespace detail

/// Says a status in words; static. Errors: none. Threads: [any].
inline std::string_view status_text(keyferry_status status) noexcept { return detail::view(keyferry_status_text(status)); }

/// The version of the library at run time; static. Errors: none. Threads: [any].
inline std::string_view version() noexcept { return detail::view(keyferry_version()); }

/// The ABI number of the library at run time. Errors: none. Threads: [any].
inline std::uint32_t abi_version() noexcept { return keyferry_abi_version(); }

/// A header for a request; both views are borrowed from the token.
struct header {
    std::string_view name;
    /// A secret.
    std::string_view value;
};

/// A set of headers with its expiry. Immutable; outlives the session that it came from.
///
/// Errors: none. Ownership: owns the C object; views are borrowed from it. Threads: [any].
class token {
public:
    /// Takes a C object over.
    explicit token(keyferry_token *handle) noexcept : token_(handle, keyferry_token_free) {}

    /// How many headers a request needs.
    std::size_t header_count() const noexcept { return keyferry_token_header_count(get()); }

    /// A header, from 0; empty views beyond header_count().
    keyferry::header header(std::size_t index = 0) const noexcept {
        return {detail::view(keyferry_token_header_name(get(), index)), detail::view(keyferry_token_header_value(get(), index))};
    }

    /// The bare value of the first header, without the scheme of an Authorization. A secret.
    std::string_view value() const noexcept { return detail::view(keyferry_token_value(get())); }

    /// The service that it is for.
    std::string_view service() const noexcept { return detail::view(keyferry_token_service(get())); }

    /// What it is.
    keyferry::token_kind kind() const noexcept { return static_cast<keyferry::token_kind>(keyferry_token_kind(get())); }

    /// What it allows.
    keyferry::access access() const noexcept { return static_cast<keyferry::access>(keyferry_token_access(get())); }

    /// When it ends, by the service's clock; nothing if it is good until rejected.
    std::optional<time_point> expires() const noexcept {
        const std::int64_t at = keyferry_token_expires_unix_s(get());
        return at == KEYFERRY_NO_EXPIRY ? std::nullopt : std::optional(time_point(std::chrono::seconds(at)));
    }

    /// Which one of its resource's tokens it is: each later one has a greater number.
    std::uint64_t generation() const noexcept { return keyferry_token_generation(get()); }

    /// What else the service said with it, a JSON object without secrets.
    std::string_view details_json() const noexcept { return detail::view(keyferry_token_details_json(get())); }

    /// The C object, still owned by this.
    const keyferry_token *get() const noexcept { return token_.get(); }

private:
    std::unique_ptr<keyferry_token, void (*)(keyferry_token *)> token_;
};

/// Settings for a session.
///
/// Errors: KEYFERRY_E_CONFIG, KEYFERRY_E_UNSAFE_FILE, KEYFERRY_E_INVALID_VALUE, KEYFERRY_E_NOT_UTF8; the message names file and key.
/// Ownership: owns the C object; a session copies what it needs. Threads: [one].
class config {
public:
    /// Nothing set: no file and no variable is read.
    config() : config(detail::call_object<keyferry_config>(keyferry_config_new)) {}

    /// From a file, or the user's own for nullptr, and over it from the environment.
    static config load(const text &path = nullptr) {
        return config(detail::call_object<keyferry_config>(
            [&](auto out, auto failure) { return keyferry_config_load(path.c_str(), out, failure); }));
    }

    /// Sets one value, always literal, over file and environment.
    config &set(const text &key, const text &value) {
        detail::call([&](auto failure) { return keyferry_config_set(config_.get(), key.c_str(), value.c_str(), failure); });
        return *this;
    }

    /// The C object, still owned by this.
    const keyferry_config *get() const noexcept { return config_.get(); }

private:
    explicit config(keyferry_config *handle) noexcept : config_(handle, keyferry_config_free) {}

    std::unique_ptr<keyferry_config, void (*)(keyferry_config *)> config_;
};

/// A resource and what the caller needs of its token.
///
/// Errors: KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_INVALID_VALUE, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_NULL_ARGUMENT.
/// Ownership: owns the C object and copies of what is set. Threads: [one], but cancel() and its use in a session: [any].
class request {
public:
    /// `user`, `packages/ID`, `links/ID?secret=S`, `SERVICE:PATH`, or a URL of a service.
    explicit request(const text &resource)
        : request_(detail::call_object<keyferry_request>(
                       [&](auto out, auto failure) { return keyferry_request_new(resource.c_str(), out, failure); }),
                   keyferry_request_free) {}

    /// Wants a token that is good for so long; 0 for the engine's own windows, negative counts as 0.
    request &min_valid(std::chrono::seconds duration) {
        return apply([&](auto object, auto failure) { return keyferry_request_set_min_valid_s(object, clamp(duration.count()), failure); });
    }

    /// Wants this access instead of the one that the resource says.
    request &access(keyferry::access access) {
        return apply([&](auto object, auto failure) {
            return keyferry_request_set_access(object, static_cast<std::int32_t>(access), failure);
        });
    }

    /// Acts as another account; nullptr for the default one.
    request &account(const text &name) {
        return apply([&](auto object, auto failure) { return keyferry_request_set_account(object, name.c_str(), failure); });
    }

    /// Brings the password of a protected link; nullptr for none.
    request &link_password(const text &password) {
        return apply([&](auto object, auto failure) { return keyferry_request_set_link_password(object, password.c_str(), failure); });
    }

    /// Waits no longer than this, ten minutes at most; 0 for the configured time.
    request &timeout(std::chrono::milliseconds duration) {
        return apply([&](auto object, auto failure) { return keyferry_request_set_timeout_ms(object, clamp(duration.count()), failure); });
    }

    /// Ends the wait of whoever waits with this request, now and from now on.
    void cancel() const noexcept { keyferry_request_cancel(request_.get()); }

    /// The C object, still owned by this.
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

/// Configuration, services, cache and store.
///
/// Errors: each function names those of its own; KEYFERRY_E_FORKED for one that was opened before a fork.
/// Ownership: owns the C object; tokens outlive it; no call may be in progress when it is destroyed. Threads: [any].
class session {
public:
    /// Opens one from the user's configuration. Goes to no network.
    session() : session(open(nullptr)) {}

    /// Opens one from this configuration. Goes to no network.
    explicit session(const config &settings) : session(open(settings.get())) {}

    /// The process's own, opened at its first use from the user's configuration. Nothing is owned; it works in a forked child.
    static session process_default() noexcept { return session(nullptr); }

    /// Gets the headers for a request, from memory if they are fresh. May go to the network.
    /// Errors: those of token_for(resource), KEYFERRY_E_CANCELLED, KEYFERRY_E_TIMEOUT.
    token token_for(const request &request) const {
        return call_token([&](auto out, auto failure) { return keyferry_session_token_for(get(), request.get(), out, failure); });
    }

    /// Gets the headers for a resource of any service; a path with no service before it is MASV's. May go to the network.
    /// Errors: those of masv_token_for in keyferry.h.
    token token_for(const text &resource) const {
        return call_token([&](auto out, auto failure) { return masv_token_for(get(), resource.c_str(), out, failure); });
    }

    /// Gets an unexpired token from memory; nothing if there is none. Goes to no store and no network; the first use of the process's own
    /// session opens it.
    /// Errors: KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_NOT_CONFIGURED for an unknown account.
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

    /// Copies the line `Name: value` and NUL of a token in memory, and gives its length. Goes to no store and no network; allocates for
    /// links and for odd spellings of a URL; the first use of the process's own session opens it. Never throws: the status is
    /// keyferry_session_peek's. Wipe the buffer, whatever the status is: it may hold bytes of a token.
    keyferry_status peek(const char *resource, char *buffer, std::size_t capacity, std::size_t &length) const noexcept {
        return keyferry_session_peek(get(), resource, buffer, capacity, &length);
    }

    /// Says that the service refused a token: the next call gets another. Errors: KEYFERRY_E_STORE.
    void reject(const token &refused) const {
        detail::call([&](auto failure) { return keyferry_session_reject(get(), refused.get(), failure); });
    }

    /// The same for a caller that has the header's value alone.
    /// Errors: KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_STORE.
    void reject_value(const text &resource, const text &value) const {
        detail::call([&](auto failure) { return keyferry_session_reject_value(get(), resource.c_str(), value.c_str(), failure); });
    }

    /// Keeps a token that the caller got itself; without an expiry it is read from the token.
    /// Errors: KEYFERRY_E_INVALID_VALUE, KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE,
    ///         KEYFERRY_E_NO_HEADER, KEYFERRY_E_UNSUPPORTED, KEYFERRY_E_STORE.
    void adopt(const text &resource, const text &value, std::optional<time_point> expires = std::nullopt) const {
        const std::int64_t at = expires ? std::int64_t{expires->time_since_epoch().count()} : KEYFERRY_NO_EXPIRY;
        detail::call([&](auto failure) { return keyferry_session_adopt(get(), resource.c_str(), value.c_str(), at, failure); });
    }

    /// Forgets what is kept of a resource.
    /// Errors: KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE.
    void forget(const text &resource) const {
        if (resource.c_str() == nullptr) {
            throw error(KEYFERRY_E_NULL_ARGUMENT, nullptr);
        }
        detail::call([&](auto failure) { return keyferry_session_forget(get(), resource.c_str(), failure); });
    }

    /// Forgets everything of every account. Errors: KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE.
    void forget_all() const {
        detail::call([&](auto failure) { return keyferry_session_forget(get(), nullptr, failure); });
    }

    /// What would happen for a resource and why, a JSON object without secrets.
    /// Errors: KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER.
    std::string explain(const text &resource) const {
        return detail::call_text([&](auto out, auto failure) { return keyferry_session_explain(get(), resource.c_str(), out, failure); });
    }

    /// The tokens in memory and in the store, a JSON array without secrets. Errors: KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE.
    std::string list() const {
        return detail::call_text([&](auto out, auto failure) { return keyferry_session_list(get(), out, failure); });
    }

    /// What the session did, a JSON object of numbers.
    std::string stats() const {
        return detail::call_text([&](auto out, auto failure) { return keyferry_session_stats(get(), out, failure); });
    }

    /// Logs in to MASV with one request; nullptr for what is configured. Errors: those of masv_login in keyferry.h.
    token masv_login(const text &email = nullptr, const text &password = nullptr) const {
        return call_token([&](auto out, auto failure) { return ::masv_login(get(), email.c_str(), password.c_str(), out, failure); });
    }

    /// Who is signed in to the MASV Agent, a JSON object. Errors: those of masv_agent_session in keyferry.h.
    std::string masv_agent_session() const {
        return detail::call_text([&](auto out, auto failure) { return ::masv_agent_session(get(), out, failure); });
    }

    /// Signs in to the MASV Agent; nullptr for what is configured. Errors: those of masv_agent_sign_in in keyferry.h.
    std::string masv_agent_sign_in(const text &email = nullptr, const text &password = nullptr) const {
        return detail::call_text(
            [&](auto out, auto failure) { return ::masv_agent_sign_in(get(), email.c_str(), password.c_str(), out, failure); });
    }

    /// Makes an account through an old MASV Transfer Agent. Errors: those of masv_agent_sign_up in keyferry.h.
    std::string masv_agent_sign_up(const text &email, const text &password, const text &name) const {
        return detail::call_text([&](auto out, auto failure) {
            return ::masv_agent_sign_up(get(), email.c_str(), password.c_str(), name.c_str(), out, failure);
        });
    }

    /// The Authorization header of FileVerbs. Errors: those of fileverbs_bearer in keyferry.h.
    token fileverbs_bearer() const {
        return call_token([&](auto out, auto failure) { return ::fileverbs_bearer(get(), out, failure); });
    }

    /// The SecretKey header of FileVerbs. Errors: those of fileverbs_secret_key in keyferry.h.
    token fileverbs_secret_key() const {
        return call_token([&](auto out, auto failure) { return ::fileverbs_secret_key(get(), out, failure); });
    }

    /// The C object, still owned by this; NULL for the process's own.
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

/// Takes a message, borrowed for the call. Runs on any thread, several at once; must not call keyferry. What it throws is dropped.
using log_callback = std::function<void(log_level, std::string_view)>;

/// Sets the function that gets the log of the whole library, up to this level; an empty one for silence. The one before is destroyed
/// once no call of it runs.
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
            // C code is above: nothing may pass through it.
        }
    };
    const keyferry_log_finalizer finalizer = [](void *user_data) { delete static_cast<log_callback *>(user_data); };
    detail::call([&](auto failure) { return keyferry_log_set_callback(number, forward, owner.get(), finalizer, failure); });
    static_cast<void>(owner.release());
}

}  // namespace keyferry

#endif
