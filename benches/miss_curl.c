/* libcurl as a client of the benchmark `misses` (see turn.h): sends the request that the library sends for a package, with an API key.
 * Each thread has a connection of its own, and keeps it unless MISS_CLOSE is set. */
#include <curl/curl.h>
#include <string.h>

#include "turn.h"

static CURL *handles[THREADS];
static struct curl_slist *headers;

static void die(const char *what) {
    fprintf(stderr, "miss_curl: %s\n", what);
    exit(1);
}

static size_t discard(char *bytes, size_t size, size_t count, void *found) {
    (void)bytes;
    *(size_t *)found += size * count;
    return size * count;
}

static void open_client(void) {
    char header[1024];
    snprintf(header, sizeof header, "X-API-KEY: %s", variable("KEYFERRY_MASV_API_KEY"));
    headers = curl_slist_append(NULL, header);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) || !headers) die("cannot set up libcurl");
}

static CURL *open_handle(void) {
    CURL *handle = curl_easy_init();
    if (!handle) die("cannot set up libcurl");
    curl_easy_setopt(handle, CURLOPT_CAINFO, variable("KEYFERRY_HTTP_CA_FILE"));
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(handle, CURLOPT_FORBID_REUSE, *variable("MISS_CLOSE") ? 1L : 0L);
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, discard);
    return handle;
}

static void look_up(unsigned thread, unsigned package) {
    char url[512];
    size_t found = 0;
    if (!handles[thread]) handles[thread] = open_handle();
    snprintf(url, sizeof url, "%s/v1.1/teams/%s/packages/01J0SANDB0XPACKAGE%08u", variable("KEYFERRY_MASV_URL"), variable("KEYFERRY_MASV_TEAM"),
             package);
    curl_easy_setopt(handles[thread], CURLOPT_URL, url);
    curl_easy_setopt(handles[thread], CURLOPT_WRITEDATA, &found);
    CURLcode code = curl_easy_perform(handles[thread]);
    if (code || found == 0) die(curl_easy_strerror(code));
}
