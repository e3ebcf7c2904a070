/*
 * Uploads a file to a new MASV package: upload FILE [TEAM]
 *
 *     cc upload.c $(pkg-config --cflags --libs keyferry libcurl jansson) -o upload
 *
 * keyferry's configuration has your credentials; this program contains none. It prints the package, such as packages/01EXAMPLE,
 * and shows the progress if standard error is a terminal.
 *
 * If your account has several teams, pass the ID of one as TEAM. The program does not read keyferry's setting `masv.team`, because the
 * library does not return settings.
 *
 * Exit codes: 0 uploaded, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.
 */
#define _DEFAULT_SOURCE /* explicit_bzero, open_memstream, strdup */

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <keyferry.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FAILED = 1, USAGE = 2, ACTION_REQUIRED = 3, RETRY_LATER = 4 };
enum { PART_BYTES = 100 * 1024 * 1024, MAX_URL = 4096, MAX_HEADER = 17000 };

static CURL *curl;
static char *base;

/* Prints an error with its remedy, and returns the exit code. */
static int fail(int exit_code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("upload: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return exit_code;
}

/* Prints an error of keyferry, frees it, and returns the exit code. The message has the remedy and never contains a secret. */
static int keyferry_failed(keyferry_status status, keyferry_error *error) {
    fail(FAILED, "%s", keyferry_error_message(error));
    keyferry_error_free(error);
    switch (status) {
    case KEYFERRY_E_CONFIG:
    case KEYFERRY_E_NOT_CONFIGURED:
    case KEYFERRY_E_UNSAFE_FILE:
    case KEYFERRY_E_SECRET_SOURCE:
    case KEYFERRY_E_BAD_CREDENTIALS:
    case KEYFERRY_E_LOGIN_REQUIRED:
        return ACTION_REQUIRED;
    case KEYFERRY_E_TIMEOUT:
    case KEYFERRY_E_BUSY:
    case KEYFERRY_E_UNREACHABLE:
    case KEYFERRY_E_NO_RESPONSE:
    case KEYFERRY_E_THROTTLED:
    case KEYFERRY_E_UNAVAILABLE:
        return RETRY_LATER;
    default:
        return FAILED;
    }
}

/* Returns the exit code for an HTTP status, after printing the reason and the remedy; 0 for success. */
static int check(long status, const char *what, const char *remedy) {
    if (status >= 200 && status < 300)
        return 0;
    if (status == 429 || status == 500 || status == 502 || status == 503 || status == 504)
        return fail(RETRY_LATER, "cannot %s: status %ld; retry later", what, status);
    return fail(FAILED, "cannot %s: status %ld; %s", what, status, remedy);
}

/* Sends the prepared request. The caller frees *text, the body of the response. Returns 0, or the exit code. */
static int perform(const char *method, const char *url, struct curl_slist *headers, long *status, char **text) {
    size_t length;
    FILE *body = open_memstream(text, &length);
    if (body == NULL)
        return fail(FAILED, "out of memory");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L); /* give up after 60 s without progress */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
    CURLcode code = curl_easy_perform(curl);
    fclose(body);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    if (code == CURLE_OK)
        return 0;
    const char *host = strstr(url, "://") == NULL ? url : strstr(url, "://") + 3; /* the rest of the URL may contain a signature */
    return fail(RETRY_LATER, "cannot reach %.*s: %s; check the network, and retry later", (int)strcspn(host, "/"), host,
                curl_easy_strerror(code));
}

/* Returns the headers of a token. free_secret_headers wipes and frees them. */
static struct curl_slist *secret_headers(const keyferry_token *token) {
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    char line[MAX_HEADER];
    for (size_t i = 0; i < keyferry_token_header_count(token); i++) {
        snprintf(line, sizeof line, "%s: %s", keyferry_token_header_name(token, i), keyferry_token_header_value(token, i));
        headers = curl_slist_append(headers, line);
    }
    explicit_bzero(line, sizeof line);
    return headers;
}

static void free_secret_headers(struct curl_slist *headers) {
    for (struct curl_slist *header = headers; header != NULL; header = header->next)
        explicit_bzero(header->data, strlen(header->data));
    curl_slist_free_all(headers);
}

/* Sends one request to MASV. After a 401, rejects the token, so that keyferry returns another one next time. */
static int send_with_token(const char *method, const char *url, const char *document, long *status, char **text) {
    keyferry_token *token;
    keyferry_error *error;
    keyferry_status got = masv_token_for(NULL, url, &token, &error);
    if (got != KEYFERRY_OK)
        return keyferry_failed(got, error);
    struct curl_slist *headers = secret_headers(token);
    curl_easy_reset(curl);
    if (strcmp(method, "POST") == 0)
        curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, document == NULL ? "" : document);
    int failed = perform(method, url, headers, status, text);
    if (failed == 0 && *status == 401) {
        got = keyferry_session_reject_value(NULL, url, keyferry_token_value(token), &error);
        if (got != KEYFERRY_OK)
            failed = keyferry_failed(got, error);
    }
    free_secret_headers(headers);
    keyferry_token_free(token);
    return failed;
}

/*
 * Calls MASV, and once more after a 401. `document` is the JSON to send, or NULL; this function frees it. *answer receives the JSON of
 * the response, which the caller frees. Returns 0, or the exit code.
 */
static int masv(const char *method, const char *path, json_t *document, json_t **answer) {
    char url[MAX_URL], what[MAX_URL], *text = NULL, *body = document == NULL ? NULL : json_dumps(document, 0);
    long status = 401;
    int failed = 0;
    *answer = NULL;
    json_decref(document);
    snprintf(url, sizeof url, "%s%s", base, path);
    snprintf(what, sizeof what, "%s %s", method, path);
    for (int attempt = 0; attempt < 2 && failed == 0 && status == 401; attempt++) {
        free(text);
        text = NULL;
        failed = send_with_token(method, url, body, &status, &text);
    }
    free(body);
    if (failed == 0 && status == 401)
        failed = fail(ACTION_REQUIRED, "MASV rejected the login (%s %s, status 401); run `keyferry doctor`", method, path);
    if (failed == 0)
        failed = check(status, what, "check the team and the rights of your account");
    if (failed == 0 && *text != '\0' && (*answer = json_loads(text, JSON_DECODE_ANY, NULL)) == NULL)
        failed = fail(FAILED, "the response to %s %s is not JSON; check `masv.url` and the proxy", method, path);
    free(text);
    return failed;
}

/* Says that a response lacks something, so that no file gets lost unnoticed. */
static int not_understood(const char *path, const json_error_t *error) {
    return fail(FAILED, "cannot use the response to %s: %s; check `masv.url`, or update this program", path, error->text);
}

/* The bytes of one part, and the ETag that the storage service gives it. */
struct part {
    FILE *file;
    curl_off_t left, start, size;
    char etag[256];
};

static size_t read_part(char *buffer, size_t size, size_t count, void *user) {
    struct part *part = user;
    size_t wanted = size * count;
    if ((curl_off_t)wanted > part->left)
        wanted = (size_t)part->left;
    size_t got = fread(buffer, 1, wanted, part->file);
    part->left -= (curl_off_t)got;
    return got == 0 && part->left > 0 ? CURL_READFUNC_ABORT : got;
}

static size_t read_header(char *bytes, size_t size, size_t count, void *user) {
    struct part *part = user;
    char line[300];
    snprintf(line, sizeof line, "%.*s", (int)(size * count), bytes);
    if (strncasecmp(line, "ETag:", 5) == 0)
        sscanf(line + 5, " %255[^\r\n]", part->etag);
    return size * count;
}

static int show_progress(void *user, curl_off_t to_receive, curl_off_t received, curl_off_t to_send, curl_off_t sent) {
    const struct part *part = user;
    (void)to_receive, (void)received, (void)to_send;
    if (part->size > 0 && isatty(STDERR_FILENO))
        fprintf(stderr, "\r%3d %%", (int)(100 * (part->start + sent) / part->size));
    return 0;
}

/* Sends a part to the storage service, as MASV's blueprint says. The URL is signed, so the request takes no header of MASV. */
static int send_to_storage(json_t *blueprint, struct part *part, const char *what, char **text) {
    const char *method, *url, *name;
    json_t *fields = NULL, *value;
    json_error_t error;
    if (json_unpack_ex(blueprint, &error, 0, "{s:s, s:s, s?o}", "method", &method, "url", &url, "headers", &fields) != 0)
        return not_understood("the request for an upload URL", &error);
    struct curl_slist *headers = NULL;
    json_object_foreach(fields, name, value) {
        char line[MAX_HEADER];
        snprintf(line, sizeof line, "%s: %s", name, json_string_value(value));
        headers = curl_slist_append(headers, line);
    }
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, part->left);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_part);
    curl_easy_setopt(curl, CURLOPT_READDATA, part);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, read_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, part);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, show_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, part);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    long status;
    int failed = perform(method, url, headers, &status, text);
    curl_slist_free_all(headers);
    if (failed == 0 && status == 403)
        return fail(FAILED, "cannot %s: the upload URL has expired or is invalid (status 403); run this program again", what);
    char code[64] = "no reason", remedy[128];
    if (failed == 0 && strstr(*text, "<Code>") != NULL)
        sscanf(strstr(*text, "<Code>"), "<Code>%63[A-Za-z]", code);
    snprintf(remedy, sizeof remedy, "%s: if the storage is full, delete packages", code);
    return failed != 0 ? failed : check(status, what, remedy);
}

/* Tells the storage service that an upload begins. *upload_id receives its ID. */
static int begin_upload(json_t *blueprint, char upload_id[MAX_URL]) {
    struct part nothing = {0};
    char *text = NULL;
    int failed = send_to_storage(blueprint, &nothing, "start the upload", &text);
    const char *found = failed == 0 ? strstr(text, "<UploadId>") : NULL;
    if (failed == 0 && (found == NULL || sscanf(found, "<UploadId>%4095[^<]</UploadId>", upload_id) != 1))
        failed = fail(FAILED, "the response of the storage service has no UploadId; check the proxy");
    free(text);
    return failed;
}

/* Sends all parts of a file. `chunks` receives the number and the ETag of each. */
static int send_parts(json_t *blueprints, FILE *file, curl_off_t size, json_t *chunks) {
    int failed = 0;
    for (size_t index = 0; failed == 0 && index < json_array_size(blueprints); index++) {
        struct part part = {.file = file, .start = (curl_off_t)index * PART_BYTES, .size = size};
        part.left = size - part.start < PART_BYTES ? size - part.start : PART_BYTES;
        char what[64], number[24], *text = NULL;
        snprintf(number, sizeof number, "%zu", index + 1);
        snprintf(what, sizeof what, "upload part %s", number);
        failed = send_to_storage(json_array_get(blueprints, index), &part, what, &text);
        free(text);
        if (failed == 0 && part.etag[0] == '\0')
            failed = fail(FAILED, "cannot %s: the response of the storage service has no ETag; check the proxy", what);
        if (failed == 0)
            json_array_append_new(chunks, json_pack("{s:s, s:s}", "part_number", number, "etag", part.etag));
    }
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
    return failed;
}

/* Uploads a file to a package. */
static int upload_file(const char *package, const char *name, FILE *file, const struct stat *stat) {
    char url[MAX_URL], modified[32], upload_id[MAX_URL];
    const char *id;
    strftime(modified, sizeof modified, "%Y-%m-%dT%H:%M:%S.000Z", gmtime(&stat->st_mtime));
    json_int_t size = stat->st_size, count = size == 0 ? 1 : (size + PART_BYTES - 1) / PART_BYTES;
    json_t *created, *blueprint, *parts = NULL, *chunks = json_array(), *answer = NULL;
    json_error_t error;

    snprintf(url, sizeof url, "/v1/packages/%s/files", package);
    int failed = masv("POST", url, json_pack("{s:s, s:s, s:s, s:s, s:I, s:i}", "kind", "file", "name", name, "path", "", "last_modified",
                                             modified, "size", size, "chunk_size", PART_BYTES), &created);
    if (failed == 0 && json_unpack_ex(created, &error, 0, "{s:{s:s}, s:o}", "file", "id", &id, "create_blueprint", &blueprint) != 0)
        failed = not_understood(url, &error);
    if (failed == 0)
        failed = begin_upload(blueprint, upload_id);
    if (failed == 0) {
        snprintf(url, sizeof url, "/v1/packages/%s/files/%s?start=0&count=%" JSON_INTEGER_FORMAT, package, id, count);
        failed = masv("POST", url, json_pack("{s:s}", "upload_id", upload_id), &parts);
    }
    if (failed == 0 && json_array_size(parts) != (size_t)count)
        failed = fail(FAILED, "MASV sent %zu upload URLs instead of %d; update this program", json_array_size(parts), (int)count);
    if (failed == 0)
        failed = send_parts(parts, file, stat->st_size, chunks);
    if (failed == 0) {
        snprintf(url, sizeof url, "/v1/packages/%s/files/%s/finalize", package, id);
        failed = masv("POST", url, json_pack("{s:I, s:i, s:{s:s}, s:O}", "size", size, "chunk_size", PART_BYTES, "file_extras", "upload_id",
                                             upload_id, "chunk_extras", chunks), &answer);
    }
    json_decref(answer);
    json_decref(chunks);
    json_decref(parts);
    json_decref(created);
    return failed;
}

/* Creates a package, uploads the file, and closes the package. */
static int upload(const char *team, const char *path, FILE *file, const struct stat *stat) {
    char url[MAX_URL];
    const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1, *package;
    json_t *teams = NULL, *created = NULL, *finalized = NULL;
    json_error_t error;
    int failed = 0;
    if (team == NULL) {
        failed = masv("GET", "/v1/teams", NULL, &teams);
        if (failed == 0 && json_array_size(teams) > 1)
            failed = fail(USAGE, "your account has %zu teams, and this program does not read `masv.team`; name one: upload FILE TEAM "
                          "(`keyferry curl -- -sS https://api.massive.app/v1/teams` lists them)",
                          json_array_size(teams));
        if (failed == 0 && json_unpack_ex(teams, &error, 0, "[{s:s}]", "id", &team) != 0)
            failed = not_understood("/v1/teams", &error);
    }
    if (failed == 0) {
        snprintf(url, sizeof url, "/v1/teams/%s/packages", team);
        failed = masv("POST", url, json_pack("{s:s, s:s, s:[]}", "name", name, "description", "", "recipients"), &created);
    }
    if (failed == 0 && json_unpack_ex(created, &error, 0, "{s:s}", "id", &package) != 0)
        failed = not_understood(url, &error);
    if (failed == 0)
        failed = upload_file(package, name, file, stat);
    if (failed == 0) {
        snprintf(url, sizeof url, "/v1/packages/%s/finalize", package);
        failed = masv("POST", url, NULL, &finalized);
    }
    if (failed == 0)
        printf("packages/%s\n", package);
    json_decref(finalized);
    json_decref(created);
    json_decref(teams);
    return failed;
}

/* Gets the base URL of MASV from the configuration. The caller frees it. */
static int find_base(char **base_out) {
    char *explanation;
    const char *found;
    keyferry_error *error;
    json_error_t json_error;
    keyferry_status status = keyferry_session_explain(NULL, "masv:user", &explanation, &error);
    if (status != KEYFERRY_OK)
        return keyferry_failed(status, error);
    json_t *explained = json_loads(explanation, 0, &json_error);
    int failed = json_unpack_ex(explained, &json_error, 0, "{s:s}", "base", &found);
    if (failed != 0)
        failed = fail(FAILED, "cannot find the URL of MASV: %s; update this program", json_error.text);
    else
        *base_out = strdup(found);
    json_decref(explained);
    keyferry_text_free(explanation);
    return failed;
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3)
        return fail(USAGE, "usage: upload FILE [TEAM]");
    struct stat stat;
    FILE *file = fopen(argv[1], "rb");
    if (file == NULL || fstat(fileno(file), &stat) != 0 || !S_ISREG(stat.st_mode))
        return fail(FAILED, "cannot read %s: %s", argv[1], errno == 0 ? "not a file" : strerror(errno));
    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    int failed = find_base(&base);
    if (failed == 0)
        failed = upload(argv[2], argv[1], file, &stat);
    free(base);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    fclose(file);
    return failed;
}
