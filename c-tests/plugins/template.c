/*
 * A plugin for keyferry, complete: copy it, rename it, and put your own service in. docs/plugins.md goes through it line by line.
 *
 *   cc -std=c99 -shared -fPIC -fvisibility=hidden -o template.so template.c
 *   keyferry plugin check /absolute/path/template.so
 *
 * Its service is a made-up asset store. One token serves all of it; the raw files of an asset want a ticket of their own:
 *
 *   POST /v1/sessions           {"key": …}      -> {"token": …, "refresh": …, "expires_at": seconds since 1970}
 *   POST /v1/sessions/renew     {"refresh": …}  -> the same
 *   GET  /v1/assets/ID/ticket   X-Studio-Key    -> {"ticket": …}
 */
#include <keyferry_plugin.h>

#include <stddef.h>
#include <string.h>

/* What the host does for us. Set once, before anything else is called. */
static const keyferry_plugin_host *host;

/* Everything that this plugin asks for: [template] url, key in config.toml; KEYFERRY_TEMPLATE_URL, KEYFERRY_TEMPLATE_KEY. */
static const keyferry_plugin_setting settings[] = {
    {"url", "Where the asset store is.", "https://assets.example", KEYFERRY_PLUGIN_SETTING_URL, 0},
    {"key", "Its API key (Settings, Access).", NULL, KEYFERRY_PLUGIN_SETTING_SECRET, 0},
};

/* Which paths want which token. The first one that fits counts; the host matches them by itself. */
static const keyferry_plugin_route routes[] = {
    {"assets/{id}/raw/{rest}", KEYFERRY_PLUGIN_CLASS_ITEM, KEYFERRY_PLUGIN_ACCESS_READ},
    {"{rest}", KEYFERRY_PLUGIN_CLASS_BEARER, KEYFERRY_PLUGIN_ACCESS_FULL},
};

/* Three texts in one, in memory that the host wipes when the call ends. */
static keyferry_plugin_status join(keyferry_plugin_call call, const char *a, const char *b, const char *c, keyferry_plugin_buffer *out) {
    size_t a_size = strlen(a), b_size = strlen(b), c_size = strlen(c);
    keyferry_plugin_status status = host->buffer(call, a_size + b_size + c_size, out);
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    memcpy(out->data, a, a_size);
    memcpy(out->data + a_size, b, b_size);
    memcpy(out->data + a_size + b_size, c, c_size);
    return KEYFERRY_PLUGIN_OK;
}

/* Posts {"NAME": VALUE}. A status that the host hands out is returned as it is: it reaches the user with all its details. */
static keyferry_plugin_status post(keyferry_plugin_call call, const char *path, const char *open, const char *value,
                                   keyferry_plugin_answer *answer) {
    keyferry_plugin_buffer quoted, body;
    keyferry_plugin_request request;
    keyferry_plugin_status status = host->json_quote(call, value, &quoted);
    if (status == KEYFERRY_PLUGIN_OK) {
        status = join(call, open, quoted.data, "}", &body);
    }
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    memset(&request, 0, sizeof request);
    request.struct_size = sizeof request;
    request.method = KEYFERRY_PLUGIN_POST;
    request.path = path;
    request.body = body.data;
    request.body_size = body.size;
    request.refused_status = 403; /* what this service says to a wrong key, beside 401 */
    memset(answer, 0, sizeof *answer);
    answer->struct_size = sizeof *answer;
    return host->exchange(call, &request, answer);
}

/* Gives the token of an answer. */
static keyferry_plugin_status give_session(keyferry_plugin_call call, const keyferry_plugin_answer *answer) {
    keyferry_plugin_buffer token, header, refresh, expires;
    keyferry_plugin_status status;
    int64_t unix_s = 0;
    size_t i;
    if (answer->status != 200) {
        host->fail(call, "the asset store answers the login with an unknown status: check `template.url`");
        return KEYFERRY_PLUGIN_E_BAD_ANSWER;
    }
    status = host->json_text(call, answer->body.data, answer->body.size, "/token", &token);
    if (status == KEYFERRY_PLUGIN_OK && token.size == 0) {
        return KEYFERRY_PLUGIN_E_BAD_ANSWER;
    }
    if (status == KEYFERRY_PLUGIN_OK) {
        status = join(call, "Bearer ", token.data, "", &header);
    }
    if (status == KEYFERRY_PLUGIN_OK) {
        status = host->give_header(call, "Authorization", header.data);
    }
    if (status != KEYFERRY_PLUGIN_OK) {
        return status == KEYFERRY_PLUGIN_E_NOT_FOUND ? KEYFERRY_PLUGIN_E_BAD_ANSWER : status;
    }
    if (host->json_text(call, answer->body.data, answer->body.size, "/expires_at", &expires) == KEYFERRY_PLUGIN_OK) {
        for (i = 0; i < expires.size && i < 12 && expires.data[i] >= '0' && expires.data[i] <= '9'; i++) {
            unix_s = unix_s * 10 + (expires.data[i] - '0');
        }
        host->give_expiry(call, unix_s);
    }
    if (host->json_text(call, answer->body.data, answer->body.size, "/refresh", &refresh) == KEYFERRY_PLUGIN_OK) {
        host->give_renewal(call, refresh.data);
    }
    return KEYFERRY_PLUGIN_OK;
}

/* A ticket for the raw files of one asset. The path is checked by the host: an id can't lead anywhere else. */
static keyferry_plugin_status give_ticket(keyferry_plugin_call call, const char *id, const char *key) {
    keyferry_plugin_buffer path, ticket;
    keyferry_plugin_request request;
    keyferry_plugin_answer answer;
    keyferry_plugin_header header;
    keyferry_plugin_status status = join(call, "/v1/assets/", id, "/ticket", &path);
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    header.name = "X-Studio-Key";
    header.value = key;
    memset(&request, 0, sizeof request);
    request.struct_size = sizeof request;
    request.method = KEYFERRY_PLUGIN_GET;
    request.path = path.data;
    request.headers = &header;
    request.header_count = 1;
    memset(&answer, 0, sizeof answer);
    answer.struct_size = sizeof answer;
    status = host->exchange(call, &request, &answer);
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    if (answer.status == 404) {
        return KEYFERRY_PLUGIN_E_NOT_FOUND;
    }
    status = host->json_text(call, answer.body.data, answer.body.size, "/ticket", &ticket);
    if (status != KEYFERRY_PLUGIN_OK) {
        return KEYFERRY_PLUGIN_E_BAD_ANSWER;
    }
    return host->give_header(call, "X-Asset-Ticket", ticket.data);
}

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_want *want) {
    keyferry_plugin_buffer key;
    keyferry_plugin_answer answer;
    keyferry_plugin_status status = host->setting(call, "key", &key);
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    if (want->token_class == KEYFERRY_PLUGIN_CLASS_ITEM) {
        return give_ticket(call, want->id, key.data);
    }
    status = post(call, "/v1/sessions", "{\"key\":", key.data, &answer);
    return status == KEYFERRY_PLUGIN_OK ? give_session(call, &answer) : status;
}

static keyferry_plugin_status renew(keyferry_plugin_call call, const keyferry_plugin_want *want, const char *renewal) {
    keyferry_plugin_answer answer;
    keyferry_plugin_status status;
    (void)want;
    status = post(call, "/v1/sessions/renew", "{\"refresh\":", renewal, &answer);
    if (status == KEYFERRY_PLUGIN_OK && answer.status == 403) {
        return KEYFERRY_PLUGIN_E_REFUSED; /* what renews has died: the host calls acquire */
    }
    return status == KEYFERRY_PLUGIN_OK ? give_session(call, &answer) : status;
}

static const keyferry_plugin_service service = {
    sizeof(keyferry_plugin_service), sizeof routes / sizeof routes[0], "the asset store", "/v1/", routes, acquire, renew,
};

static keyferry_plugin_status init(const keyferry_plugin_host *given, keyferry_plugin_call call) {
    (void)call;
    host = given;
    return KEYFERRY_PLUGIN_OK;
}

static const void *get_extension(const char *id) { return strcmp(id, KEYFERRY_PLUGIN_SERVICE) == 0 ? &service : NULL; }

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
