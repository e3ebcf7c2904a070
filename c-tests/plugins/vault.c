/*
 * A secret source and a service for OpenBao, and for Vault, which speaks the same.
 *
 *   [masv]
 *   password = { plugin = ["vault", "studio/masv#password"] }      the field of an entry of the key-value store, version 2
 *
 * With `vault.token` that is used; else it logs in with `vault.role_id` and `vault.secret_id` (AppRole). The service hands out the
 * token of that login for every URL below /v1/ and renews it.
 */
#include <keyferry_plugin.h>

#include <stddef.h>
#include <string.h>

static const keyferry_plugin_host *host;

static const keyferry_plugin_setting settings[] = {
    {"url", "Where the vault is.", "https://127.0.0.1:8200", KEYFERRY_PLUGIN_SETTING_URL, 0},
    {"token", "A token of the vault; without it the AppRole logs in.", NULL, KEYFERRY_PLUGIN_SETTING_SECRET, 0},
    {"role_id", "The AppRole's id.", NULL, KEYFERRY_PLUGIN_SETTING_TEXT, 0},
    {"secret_id", "The AppRole's secret id.", NULL, KEYFERRY_PLUGIN_SETTING_SECRET, 0},
    {"mount", "Where the key-value store is mounted.", "secret", KEYFERRY_PLUGIN_SETTING_TEXT, 0},
};

static const keyferry_plugin_route routes[] = {{"{rest}", KEYFERRY_PLUGIN_TOKEN_BEARER, KEYFERRY_PLUGIN_ACCESS_FULL}};

/* Joins texts in a buffer of the host; NULL behind the last one. */
static keyferry_plugin_status join(keyferry_plugin_call call, keyferry_plugin_buffer *out, const char *const *parts) {
    size_t size = 0, at = 0, i;
    keyferry_plugin_status status;
    for (i = 0; parts[i] != NULL; i++) {
        size += strlen(parts[i]);
    }
    status = host->new_buffer(call, size, out);
    for (i = 0; status == KEYFERRY_PLUGIN_OK && parts[i] != NULL; i++) {
        memcpy(out->data + at, parts[i], strlen(parts[i]));
        at += strlen(parts[i]);
    }
    return status;
}

/* Sends a request, with a token if there is one. */
static keyferry_plugin_status send(keyferry_plugin_call call, uint32_t method, const char *path, const char *token, const char *body,
                                   uint32_t bad_credentials_status, keyferry_plugin_response *response) {
    keyferry_plugin_header header;
    keyferry_plugin_request request;
    header.name = "X-Vault-Token";
    header.value = token;
    memset(&request, 0, sizeof request);
    request.struct_size = sizeof request;
    request.method = method;
    request.path = path;
    request.headers = token == NULL ? NULL : &header;
    request.header_count = token == NULL ? 0 : 1;
    request.body = body;
    request.body_size = body == NULL ? 0 : strlen(body);
    request.bad_credentials_status = bad_credentials_status;
    memset(response, 0, sizeof *response);
    response->struct_size = sizeof *response;
    return host->exchange(call, &request, response);
}

static keyferry_plugin_status get_field(keyferry_plugin_call call, const keyferry_plugin_response *response, const char *pointer,
                                        keyferry_plugin_buffer *out) {
    return host->json_get_text(call, response->body.data, response->body.size, pointer, out);
}

/* Logs in with the AppRole. */
static keyferry_plugin_status log_in(keyferry_plugin_call call, keyferry_plugin_response *response) {
    keyferry_plugin_buffer role, secret, role_quoted, secret_quoted, body;
    const char *parts[] = {"{\"role_id\":", NULL, ",\"secret_id\":", NULL, "}", NULL};
    keyferry_plugin_status status = host->get_setting(call, "role_id", &role);
    if (status == KEYFERRY_PLUGIN_OK) {
        status = host->get_setting(call, "secret_id", &secret);
    }
    if (status == KEYFERRY_PLUGIN_OK) {
        status = host->json_quote(call, role.data, &role_quoted);
    }
    if (status == KEYFERRY_PLUGIN_OK) {
        status = host->json_quote(call, secret.data, &secret_quoted);
    }
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    parts[1] = role_quoted.data;
    parts[3] = secret_quoted.data;
    status = join(call, &body, parts);
    /* The vault answers a wrong secret id with 400. */
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    return send(call, KEYFERRY_PLUGIN_METHOD_POST, "/v1/auth/approle/login", NULL, body.data, 400, response);
}

/* Gets a token: the configured one, else that of a login. */
static keyferry_plugin_status get_token(keyferry_plugin_call call, keyferry_plugin_buffer *out) {
    keyferry_plugin_response response;
    keyferry_plugin_status status = host->get_setting(call, "token", out);
    if (status != KEYFERRY_PLUGIN_E_NOT_CONFIGURED) {
        return status;
    }
    status = log_in(call, &response);
    return status == KEYFERRY_PLUGIN_OK ? get_field(call, &response, "/auth/client_token", out) : status;
}

/* The name of a secret is PATH#FIELD. */
static keyferry_plugin_status get(keyferry_plugin_call call, const char *secret_name) {
    keyferry_plugin_buffer vault_token, mount, entry, path, pointer, secret;
    keyferry_plugin_response response;
    const char *separator = strrchr(secret_name, '#');
    const char *path_parts[] = {"/v1/", NULL, "/data/", NULL, NULL};
    const char *pointer_parts[] = {"/data/data/", NULL, NULL};
    keyferry_plugin_status status;
    if (separator == NULL || separator == secret_name || separator[1] == '\0') {
        host->set_error_message(call, "a secret of the vault is named like \"studio/masv#password\": entry, number sign, field");
        return KEYFERRY_PLUGIN_E_NOT_FOUND;
    }
    status = host->new_buffer(call, (size_t)(separator - secret_name), &entry);
    if (status == KEYFERRY_PLUGIN_OK) {
        memcpy(entry.data, secret_name, entry.size);
        status = host->get_setting(call, "mount", &mount);
    }
    if (status == KEYFERRY_PLUGIN_OK) {
        status = get_token(call, &vault_token);
    }
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    path_parts[1] = mount.data;
    path_parts[3] = entry.data;
    pointer_parts[1] = separator + 1;
    status = join(call, &path, path_parts);
    if (status == KEYFERRY_PLUGIN_OK) {
        status = join(call, &pointer, pointer_parts);
    }
    if (status == KEYFERRY_PLUGIN_OK) {
        status = send(call, KEYFERRY_PLUGIN_METHOD_GET, path.data, vault_token.data, NULL, 0, &response);
    }
    if (status != KEYFERRY_PLUGIN_OK) {
        return status;
    }
    if (response.status == 403) {
        /* The token may be wrong, or may lack the right to this entry: KEYFERRY_PLUGIN_E_BAD_CREDENTIALS would be a guess. */
        host->set_error_message(call, "the vault permits no reading of this entry: check the token and its policy");
        return KEYFERRY_PLUGIN_E_INSUFFICIENT_ACCESS;
    }
    if (response.status == 404) {
        host->set_error_message(call, "the vault has no such entry: check its path and `vault.mount`");
        return KEYFERRY_PLUGIN_E_NOT_FOUND;
    }
    if (get_field(call, &response, pointer.data, &secret) != KEYFERRY_PLUGIN_OK) {
        host->set_error_message(call, "the vault's entry has no such field: check what stands behind the number sign");
        return KEYFERRY_PLUGIN_E_NOT_FOUND;
    }
    return host->set_secret(call, secret.data);
}

/* Returns the token of a login or a renewal. It is its own renewal secret. */
static keyferry_plugin_status return_token(keyferry_plugin_call call, const keyferry_plugin_response *response) {
    keyferry_plugin_buffer client, lease;
    int64_t seconds = 0;
    size_t i;
    if (response->status != 200 || get_field(call, response, "/auth/client_token", &client) != KEYFERRY_PLUGIN_OK) {
        return KEYFERRY_PLUGIN_E_BAD_RESPONSE;
    }
    if (get_field(call, response, "/auth/lease_duration", &lease) == KEYFERRY_PLUGIN_OK) {
        for (i = 0; i < lease.size && i < 9 && lease.data[i] >= '0' && lease.data[i] <= '9'; i++) {
            seconds = seconds * 10 + (lease.data[i] - '0');
        }
        if (seconds > 0) {
            host->set_expiry(call, host->now_unix_s(call) + seconds);
        }
    }
    host->set_renewal_secret(call, client.data);
    return host->add_header(call, "X-Vault-Token", client.data);
}

static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    keyferry_plugin_response response;
    keyferry_plugin_status status;
    (void)spec;
    status = log_in(call, &response);
    return status == KEYFERRY_PLUGIN_OK ? return_token(call, &response) : status;
}

static keyferry_plugin_status renew(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec, const char *renewal_secret) {
    keyferry_plugin_response response;
    keyferry_plugin_status status;
    (void)spec;
    status = send(call, KEYFERRY_PLUGIN_METHOD_POST, "/v1/auth/token/renew-self", renewal_secret, "{}", 0, &response);
    if (status == KEYFERRY_PLUGIN_OK && response.status == 403) {
        return KEYFERRY_PLUGIN_E_UNSUPPORTED; /* it has expired: log in again */
    }
    return status == KEYFERRY_PLUGIN_OK ? return_token(call, &response) : status;
}

static const keyferry_plugin_service service = {
    sizeof(keyferry_plugin_service), sizeof routes / sizeof routes[0], "the vault", "/v1/", routes, acquire, renew,
};

static const keyferry_plugin_secret_source source = {sizeof(keyferry_plugin_secret_source), 0, get};

static keyferry_plugin_status init(const keyferry_plugin_host *host_table, keyferry_plugin_call call) {
    (void)call;
    host = host_table;
    return KEYFERRY_PLUGIN_OK;
}

static const void *get_extension(const char *id) {
    if (strcmp(id, KEYFERRY_PLUGIN_EXTENSION_SERVICE) == 0) {
        return &service;
    }
    return strcmp(id, KEYFERRY_PLUGIN_EXTENSION_SECRET_SOURCE) == 0 ? &source : NULL;
}

const keyferry_plugin keyferry_plugin_entry = {
    KEYFERRY_PLUGIN_ABI_MAJOR, KEYFERRY_PLUGIN_ABI_MINOR, sizeof(keyferry_plugin), sizeof settings / sizeof settings[0], "vault",
    "1.0", settings, init, NULL, get_extension,
};
