// Downloads the files of a MASV link: download DIRECTORY < link.txt
//
//     c++ -std=c++17 download.cpp $(pkg-config --cflags --libs keyferry libcurl nlohmann_json) -o download
//
// The link, such as https://get.massive.io/ID?secret=SECRET, is a secret, so the program reads it from standard input: every user of the
// machine can read the arguments of a program. If the link has a password, pass it in the environment variable LINK_PASSWORD. The
// program prints the path of each file, and shows the progress if standard error is a terminal.
//
// Exit codes: 0 downloaded, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <keyferry.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace fs = std::filesystem;
using nlohmann::json;

enum exit_code { ok = 0, failed = 1, usage = 2, action_required = 3, retry_later = 4 };

/// A response that the download can't go on after, and the exit code.
struct failure : std::runtime_error {
    failure(const std::string &message, exit_code code = failed) : std::runtime_error(message), code(code) {}
    exit_code code;
};

/// The exit code for an error of keyferry.
exit_code code_of(const keyferry::error &error) {
    switch (error.status()) {
        case KEYFERRY_E_CONFIG:
        case KEYFERRY_E_NOT_CONFIGURED:
        case KEYFERRY_E_UNSAFE_FILE:
        case KEYFERRY_E_SECRET_SOURCE:
        case KEYFERRY_E_BAD_CREDENTIALS:
        case KEYFERRY_E_LOGIN_REQUIRED:
            return action_required;
        case KEYFERRY_E_TIMEOUT:
        case KEYFERRY_E_BUSY:
        case KEYFERRY_E_UNREACHABLE:
        case KEYFERRY_E_NO_RESPONSE:
        case KEYFERRY_E_THROTTLED:
        case KEYFERRY_E_UNAVAILABLE:
            return retry_later;
        default:
            return failed;
    }
}

/// Throws unless an HTTP status means success.
void check(long status, const std::string &what, const std::string &remedy) {
    if (status >= 200 && status < 300) {
        return;
    }
    const std::string seen = "cannot " + what + ": status " + std::to_string(status) + "; ";
    if (status == 429 || status >= 500) {
        throw failure(seen + "retry later", retry_later);
    }
    throw failure(seen + remedy);
}

/// A connection to a service. Receives each response in pieces.
class http {
public:
    using receiver = std::function<void(std::string_view)>;

    /// Sends a GET request, with the headers of a token if there is one. Returns the status. Only the body of a success is received.
    long get(const std::string &url, const keyferry::token *token, const receiver &receive) {
        headers headers;
        for (std::size_t i = 0; token != nullptr && i < token->header_count(); ++i) {
            headers.add(token->header(i));
        }
        state state{curl_.get(), receive, nullptr};
        curl_easy_setopt(curl_.get(), CURLOPT_URL, url.c_str());
        curl_easy_setopt(curl_.get(), CURLOPT_HTTPHEADER, headers.get());
        curl_easy_setopt(curl_.get(), CURLOPT_WRITEFUNCTION, &http::write);
        curl_easy_setopt(curl_.get(), CURLOPT_WRITEDATA, &state);
        curl_easy_setopt(curl_.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);  // give up after 60 s without progress
        curl_easy_setopt(curl_.get(), CURLOPT_LOW_SPEED_TIME, 60L);
        const CURLcode code = curl_easy_perform(curl_.get());
        if (state.thrown) {
            std::rethrow_exception(state.thrown);
        }
        if (code != CURLE_OK) {
            const std::string host = url.substr(0, url.find('/', url.find("://") + 3));  // the rest of the URL may contain a signature
            throw failure("cannot reach " + host + ": " + curl_easy_strerror(code) + "; check the network, and retry later", retry_later);
        }
        return status(curl_.get());
    }

private:
    struct state {
        CURL *curl;
        const receiver &receive;
        std::exception_ptr thrown;
    };

    /// Headers that are secrets, so their memory is wiped.
    class headers {
    public:
        headers() = default;
        headers(const headers &) = delete;
        headers &operator=(const headers &) = delete;
        ~headers() {
            for (curl_slist *line = list_; line != nullptr; line = line->next) {
                wipe(line->data, std::char_traits<char>::length(line->data));
            }
            curl_slist_free_all(list_);
        }

        void add(const keyferry::header &header) {
            std::string line;
            line.reserve(header.name.size() + header.value.size() + 2);  // no copy of the secret stays behind when the string grows
            line.append(header.name).append(": ").append(header.value);
            list_ = curl_slist_append(list_, line.c_str());
            wipe(line.data(), line.size());
        }

        curl_slist *get() const { return list_; }

    private:
        static void wipe(char *bytes, std::size_t length) { std::fill_n(static_cast<volatile char *>(bytes), length, '\0'); }

        curl_slist *list_ = nullptr;
    };

    static long status(CURL *curl) {
        long status = 0;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        return status;
    }

    /// curl calls this function from C, so no exception may leave it.
    static std::size_t write(char *bytes, std::size_t size, std::size_t count, void *user) {
        auto *state = static_cast<http::state *>(user);
        try {
            if (status(state->curl) < 300) {
                state->receive({bytes, size * count});
            }
            return size * count;
        } catch (...) {
            state->thrown = std::current_exception();
            return 0;
        }
    }

    std::unique_ptr<CURL, void (*)(CURL *)> curl_{curl_easy_init(), curl_easy_cleanup};
};

/// Calls MASV with the token of a link and returns the JSON of the response. After a 401, rejects the token and tries once with a new one.
json get_json(http &client, const keyferry::request &link, const std::string &url) {
    const keyferry::session session = keyferry::session::process_default();
    for (int attempt = 1;; ++attempt) {
        const keyferry::token token = session.token_for(link);  // from the cache, until it expires
        std::string text;
        const long status = client.get(url, &token, [&](std::string_view piece) { text += piece; });
        if (status == 401) {
            session.reject(token);  // the next call returns another token, or throws
            if (attempt == 1) {
                continue;
            }
            throw failure("MASV rejected the link (" + url + ", status 401); check that the link has not expired", action_required);
        }
        check(status, "read " + url, "check that the link has not expired");
        return json::parse(text);
    }
}

/// Returns where to save a file. The sender chose its name, so it may lead out of the directory.
fs::path local_path(const fs::path &directory, const json &file) {
    const fs::path name = fs::path(file.value("path", "")) / file.at("name").get<std::string>();
    const std::string text = name.string();
    const bool is_printable = std::none_of(text.begin(), text.end(), [](unsigned char symbol) { return std::iscntrl(symbol) != 0; });
    if (name.is_absolute() || std::find(name.begin(), name.end(), "..") != name.end() || !is_printable) {
        throw failure("cannot save " + json(text).dump() + ": it is not a name inside the directory; ask the sender to rename the file");
    }
    return directory / name;
}

/// Streams a file to disk. The file gets its name when it is complete. The URL is signed, so the request takes no header of MASV.
void save(http &client, const std::string &url, const fs::path &path, std::uintmax_t size) {
    fs::create_directories(path.parent_path());
    fs::path part = path;
    part += ".part";
    std::ofstream file(part, std::ios::binary);
    const auto check_file = [&] {
        if (!file) {
            throw failure("cannot write " + part.string() + ": " + std::strerror(errno) + "; check the directory and its free space");
        }
    };
    check_file();
    std::uintmax_t done = 0;
    const bool is_terminal = isatty(STDERR_FILENO) != 0;
    const long status = client.get(url, nullptr, [&](std::string_view piece) {
        file.write(piece.data(), static_cast<std::streamsize>(piece.size()));
        check_file();
        done += piece.size();
        if (is_terminal) {
            std::cerr << "\r" << 100 * done / std::max<std::uintmax_t>(size, 1) << " %  " << path.filename().string().substr(0, 40) << "\x1b[K";
        }
    });
    if (is_terminal) {
        std::cerr << "\n";
    }
    check(status, "download " + path.string(), "the download URL has expired; run this program again");
    file.close();
    check_file();
    if (done != size) {
        throw failure(path.string() + " has " + std::to_string(done) + " bytes instead of " + std::to_string(size) + "; run this program again");
    }
    fs::rename(part, path);
}

void download(const keyferry::request &link, const fs::path &directory) {
    const keyferry::session session = keyferry::session::process_default();
    const std::string base = json::parse(session.explain("masv:user")).at("base");
    const json details = json::parse(session.token_for(link).details_json());
    const std::string files = base + "/v1/packages/" + details.at("package_id").get<std::string>() + "/files";
    http masv, storage;
    for (const json &file : get_json(masv, link, files)) {
        const fs::path path = local_path(directory, file);
        const std::string url = get_json(masv, link, files + "/" + file.at("id").get<std::string>() + "/download").at("url");
        save(storage, url, path, file.at("size"));
        std::cout << path.string() << "\n";
    }
}

int main(int argc, char **argv) {
    exit_code code = ok;
    std::string message;
    try {
        if (argc != 2) {
            throw failure("usage: download DIRECTORY < link.txt", usage);
        }
        if (isatty(STDIN_FILENO) != 0) {
            std::cerr << "Paste the link, then press Enter:\n";
        }
        std::string resource;
        std::getline(std::cin, resource);
        keyferry::request link(resource);
        link.link_password(std::getenv("LINK_PASSWORD"));
        download(link, argv[1]);
        return ok;
    } catch (const keyferry::error &error) {
        // The message says what failed and what to do. It never contains a secret.
        message = error.what();
        code = code_of(error);
    } catch (const failure &failure) {
        message = failure.what();
        code = failure.code;
    } catch (const json::parse_error &) {
        message = "the response of MASV is not JSON; check `masv.url` and the proxy";
        code = failed;
    } catch (const json::exception &error) {
        message = std::string("cannot use the response of MASV: ") + error.what() + "; check `masv.url`, or update this program";
        code = failed;
    } catch (const std::exception &error) {
        message = std::string("cannot save the files: ") + error.what() + "; check the directory";
        code = failed;
    }
    std::cerr << "download: " << message << "\n";
    return code;
}
