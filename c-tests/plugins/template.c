/*
 * A plugin for keyferry, complete: copy it, rename it, and put your own service in. docs/plugins.md goes through it line by line.
 *
 *   cc -std=c99 -shared -fPIC -fvisibility=hidden -o template.so template.c
 *   keyferry plugin check /absolute/path/template.so
 *
 * Its service is a made-up asset store. One token serves all of it; the raw files of an asset need a ticket of their own:
 *
 *   POST /v1/sessions           {"key": …}      -> {"token": …, "refresh": …, "expires_at": seconds since 1970}
 *   POST /v1/sessions/renew     {"refresh": …}  -> the same
 *   GET  /v1/assets/ID/ticket   X-Studio-Key    -> {"ticket": …}
 */
#include <keyferry_plugin.h>

#include <stddef.h>
#include <string.h>

/* The functions of the host. Set in `init`, before any other function is called. */
static const keyferry_plugin_host *host;

/* The settings of this plugin: [template] url, key in config.toml; KEYFERRY_TEMPLATE_URL, KEYFERRY_TEMPLATE_KEY. */
static const keyferry_plugin_setting settings[] = {
    {"url", "Where the asset store is.", "https://assets.example", KEYFERRY_PLUGIN_SETTING_URL, 0},
    {"key", "Its API key (Settings, Access).", NULL, KEYFERRY_PLUGIN_SETTING_SECRET, 0},
};

/* Which paths need which token. The first route that matches is used; the host matches them without a call. */
static const keyferry_plugin_route routes[] = {
    {"assets/{id}/raw/{rest}", KEYFERRY_PLUGIN_TOKEN_ITEM, KEYFERRY_PLUGIN_ACCESS_READ},
    {"{rest}", KEYFERRY_PLUGIN_TOKEN_BEARER, KEYFERRY_PLUGIN_ACCESS_FULL},
};

/* Joins three texts in a buffer, which the host wipes when the call ends. */
static keyferry_plugin_status join(keyferry_plugin_call call, const char *a, const char *b, const char *c, keyferry_plugin_buffer *out) {
    size_t a_size = strlen(a), b_size = strlen(b), c_size = strlen(c);
    keyferry_plugin_status status = host->new_buffer(call, a_size + b_size + c_size, out);
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    memcpy(out->data, a, a_size);
    memcpy(out->data + a_size, b, b_size);
    memcpy(out->data + a_size + b_size, c, c_size);
    return KEYFERRY_PLUGIN_OK;
}

/* Posts {"NAME": VALUE}. A status from the host is returned as it is, so that the user gets all its details. */
static keyferry_plugin_status post(keyferry_plugin_call call, const char *path, const char *json_start, const char *value,
                                   keyferry_plugin_response *response) {
    keyferry_plugin_buffer quoted, body;
    keyferry_plugin_request request;
    keyferry_plugin_status status = host->json_quote(call, value, &quoted);
    if (status == KEYFERRY_PLUGIN_OK) {
        status = join(call, json_start, quoted.data, "}", &body);
    }
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    memset(&request, 0, sizeof request);
    request.struct_size = sizeof request;
    request.method = KEYFERRY_PLUGIN_METHOD_POST;
    request.path = path;
    request.body = body.data;
    request.body_size = body.size;
    request.bad_credentials_status = 403; /* what this service answers to a wrong key, besides 401 */
    memset(response, 0, sizeof *response);
    response->struct_size = sizeof *response;
    return host->exchange(call, &request, response);
}

/* Returns the token of a response to the host. */
static keyferry_plugin_status return_session_token(keyferry_plugin_call call, const keyferry_plugin_response *response) {
    keyferry_plugin_buffer token, header, refresh, expires;
    keyferry_plugin_status status;
    int64_t unix_s = 0;
    size_t i;
    if (response->status != 200) {
        host->set_error_message(call, "the asset store answers the login with an unknown status: check `template.url`");
        return KEYFERRY_PLUGIN_E_BAD_RESPONSE;
    }
    status = host->json_get_text(call, response->body.data, response->body.size, "/token", &token);
    if (status == KEYFERRY_PLUGIN_OK && token.size == 0) {
        return KEYFERRY_PLUGIN_E_BAD_RESPONSE;
    }
    if (status == KEYFERRY_PLUGIN_OK) {
        status = join(call, "Bearer ", token.data, "", &header);
    }
    if (status == KEYFERRY_PLUGIN_OK) {
        status = host->add_header(call, "Authorization", header.data);
    }
    if (status != KEYFERRY_PLUGIN_OK) {
        return status == KEYFERRY_PLUGIN_E_NOT_FOUND ? KEYFERRY_PLUGIN_E_BAD_RESPONSE : status;
    }
    if (host->json_get_text(call, response->body.data, response->body.size, "/expires_at", &expires) == KEYFERRY_PLUGIN_OK) {
        for (i = 0; i < expires.size && i < 12 && expires.data[i] >= '0' && expires.data[i] <= '9'; i++) {
            unix_s = unix_s * 10 + (expires.data[i] - '0');
        }
        host->set_expiry(call, unix_s);
    }
    if (host->json_get_text(call, response->body.data, response->body.size, "/refresh", &refresh) == KEYFERRY_PLUGIN_OK) {
        host->set_renewal_secret(call, refresh.data);
    }
    return KEYFERRY_PLUGIN_OK;
}

/* Gets a ticket for the raw files of one asset. The host checks the path: an id can't lead out of the base URL. */
static keyferry_plugin_status return_ticket(keyferry_plugin_call call, const char *id, const char *key) {
    keyferry_plugin_buffer path, ticket;
    keyferry_plugin_request request;
    keyferry_plugin_response response;
    keyferry_plugin_header header;
    keyferry_plugin_status status = join(call, "/v1/assets/", id, "/ticket", &path);
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    header.name = "X-Studio-Key";
    header.value = key;
    memset(&request, 0, sizeof request);
    request.struct_size = sizeof request;
    request.method = KEYFERRY_PLUGIN_METHOD_GET;
    request.path = path.data;
    request.headers = &header;
    request.header_count = 1;
    memset(&response, 0, sizeof response);
    response.struct_size = sizeof response;
    status = host->exchange(call, &request, &response);
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    if (response.status == 404) {
        return KEYFERRY_PLUGIN_E_NOT_FOUND;
    }
    status = host->json_get_text(call, response.body.data, response.body.size, "/ticket", &ticket);
    if (status != KEYFERRY_PLUGIN_OK) {
        return KEYFERRY_PLUGIN_E_BAD_RESPONSE;
    }
    return host->add_header(call, "X-Asset-Ticket", ticket.data);
}

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    keyferry_plugin_buffer key;
    keyferry_plugin_response response;
    keyferry_plugin_status status = host->get_setting(call, "key", &key);
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    if (spec->token_kind == KEYFERRY_PLUGIN_TOKEN_ITEM) {
        return return_ticket(call, spec->id, key.data);
    }
    status = post(call, "/v1/sessions", "{\"key\":", key.data, &response);
    return status == KEYFERRY_PLUGIN_OK ? return_session_token(call, &response) : status;
}

static keyferry_plugin_status renew(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec, const char *renewal_secret) {
    keyferry_plugin_response response;
    keyferry_plugin_status status;
    (void)spec;
    status = post(call, "/v1/sessions/renew", "{\"refresh\":", renewal_secret, &response);
    if (status == KEYFERRY_PLUGIN_OK && response.status == 403) {
        return KEYFERRY_PLUGIN_E_BAD_CREDENTIALS; /* the renewal secret has expired: the host calls acquire */
    }
    return status == KEYFERRY_PLUGIN_OK ? return_session_token(call, &response) : status;
}

static const keyferry_plugin_service service = {
    sizeof(keyferry_plugin_service), sizeof routes / sizeof routes[0], "the asset store", "/v1/", routes, acquire, renew,
};

static keyferry_plugin_status init(const keyferry_plugin_host *host_table, keyferry_plugin_call call) {
    (void)call;
    host = host_table;
    return KEYFERRY_PLUGIN_OK;
}

static const void *get_extension(const char *id) { return strcmp(id, KEYFERRY_PLUGIN_EXTENSION_SERVICE) == 0 ? &service : NULL; }

const keyferry_plugin keyferry_plugin_entry = {
    KEYFERRY_PLUGIN_ABI_MAJOR,
    KEYFERRY_PLUGIN_ABI_MINOR,
    sizeof(keyferry_plugin),
    sizeof settings / sizeof settings[0],
    "template",
    "1.0",
    settings,
    init,
    NULL, /* deinit: nothing to give back */
    get_extension,
};
