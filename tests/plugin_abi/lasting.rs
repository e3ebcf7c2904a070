//! The ABI lasts: a plugin of today under a host of tomorrow, and one of tomorrow under the host of today.

use std::time::Duration;

use keyferry_testing::child;
use keyferry_testing::plugins::harness::{PluginHarness, header};
use keyferry_testing::plugins::server::{Server, reply};
use keyferry_testing::plugins::studio::{KEY, Studio};

#[test]
fn a_plugin_of_the_future_loads_today() {
    let stage = PluginHarness::set();
    let session = stage.session(&[&stage.plugin("new.c", &[])], &[]);
    assert_eq!(header(&session, "new:x").unwrap(), "X-Host: today");
}

/// In a process of its own, for the later host's table is one for the whole process.
#[test]
fn plugins_of_today_load_when_the_hosts_tables_have_grown() {
    const ALONE: &str = "KEYFERRY_TEST_GROWN";
    if std::env::var_os(ALONE).is_none() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "lasting::plugins_of_today_load_when_the_hosts_tables_have_grown"]).env(ALONE, "1");
        let ended = child::run(&mut command, Duration::from_secs(120));
        assert!(ended.status.success() && ended.out.contains("1 passed"), "{}", ended.said());
        return;
    }
    keyferry::plugin::test_host::enable_test_host();
    let (stage, studio) = (PluginHarness::set(), Studio::open());
    let session = stage.session(&[&stage.plugin("template.c", &[])], &[("template.url", studio.url()), ("template.key", KEY)]);
    assert_eq!(header(&session, "template:library").unwrap(), "Authorization: Bearer studio-1");
    // And the one of the future finds its slot.
    let session = stage.session(&[&stage.plugin("new.c", &[])], &[]);
    assert_eq!(header(&session, "new:x").unwrap(), "X-Host: later");
}

/// What the host writes goes no further than the plugin says that its memory goes: an answer of 8 bytes gets a status and no body.
#[test]
fn nothing_is_written_behind_what_a_plugin_has() {
    let stage = PluginHarness::set();
    let server = Server::start(|_| reply(418, "a body that finds no place"));
    let source = r#"
#define NAME "small"
#include "small.h"
static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    struct { uint32_t size, status; unsigned char behind[24]; } response;
    keyferry_plugin_request request;
    keyferry_plugin_status status;
    size_t i;
    (void)spec;
    memset(&request, 0, sizeof request);
    memset(&response, 0x5a, sizeof response);
    request.struct_size = sizeof request;
    request.method = KEYFERRY_PLUGIN_METHOD_GET;
    request.path = "/x";
    response.size = 8;
    status = host->exchange(call, &request, (keyferry_plugin_response *)(void *)&response);
    if (status != KEYFERRY_PLUGIN_OK || response.status != 418) return KEYFERRY_PLUGIN_E_FAILED;
    for (i = 0; i < sizeof response.behind; i++) if (response.behind[i] != 0x5a) return KEYFERRY_PLUGIN_E_INSUFFICIENT_ACCESS;
    return host->add_header(call, "X-Small", "kept");
}
"#;
    let path = stage.source("small.c", source);
    let session = stage.session(&[&path], &[("small.url", &server.url)]);
    assert_eq!(header(&session, "small:x").unwrap(), "X-Small: kept");
}

#[test]
fn init_and_deinit_are_counted() {
    let stage = PluginHarness::set();
    let counted = stage.path("counted");
    let source = format!(
        r#"
#include <keyferry_plugin.h>
static keyferry_plugin_status counting(const keyferry_plugin_host *host_table, keyferry_plugin_call call);
static void leaving(void);
#define NAME "counter"
#define INIT counting
#define DEINIT leaving
#include "small.h"
#include <stdio.h>
static void note(const char *what) {{
    FILE *file = fopen("{}", "a");
    if (file != NULL) {{ fputs(what, file); fclose(file); }}
}}
static keyferry_plugin_status counting(const keyferry_plugin_host *host_table, keyferry_plugin_call call) {{
    keyferry_plugin_buffer buffer;
    note("i");
    if (host_table->get_setting(call, "key", &buffer) == KEYFERRY_PLUGIN_OK) note("!");
    return init(host_table, call);
}}
static void leaving(void) {{ note("d"); }}
static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {{
    (void)spec;
    return host->add_header(call, "X-Token", "counted");
}}
"#,
        counted.display()
    );
    let path = stage.source("counter.c", &source);
    let notes = || std::fs::read_to_string(&counted).unwrap_or_default();
    let open = || stage.session(&[&path], &[("counter.key", "k")]);
    let (first, second) = (open(), open());
    assert_eq!(notes(), "i");
    drop(first);
    assert_eq!(header(&second, "counter:x").unwrap(), "X-Token: counted");
    assert_eq!(notes(), "i");
    drop(second);
    assert_eq!(notes(), "id");
    drop(open());
    assert_eq!(notes(), "idid");
}
