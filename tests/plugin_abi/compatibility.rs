//! The ABI stays compatible: a present plugin in a later host, and a later plugin in the present
//! host.

use std::time::Duration;

use keyferry_testing::child;
use keyferry_testing::harness::Harness;
use keyferry_testing::plugins::compile::header;
use keyferry_testing::plugins::server::{Server, reply};
use keyferry_testing::plugins::studio::{KEY, Studio};

#[test]
fn a_plugin_built_against_a_later_header_loads() {
    let harness = Harness::new();
    let session = harness.plugin_session(&[&harness.plugin("new.c", &[])], &[]);
    assert_eq!(header(&session, "new:x").unwrap(), "X-Host: today");
}

/// In a process of its own: the table is the same for the whole process.
#[test]
fn plugins_load_in_a_later_host_with_larger_tables() {
    const CHILD: &str = "KEYFERRY_TEST_GROWN";
    if std::env::var_os(CHILD).is_none() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "compatibility::plugins_load_in_a_later_host_with_larger_tables",
            ])
            .env(CHILD, "1");
        let ended = child::run(&mut command, Duration::from_secs(120));
        assert!(
            ended.status.success() && ended.out.contains("1 passed"),
            "{}",
            ended.said()
        );
        return;
    }
    keyferry::plugin::test_host::enable_test_host();
    let (harness, studio) = (Harness::new(), Studio::start());
    let session = harness.plugin_session(
        &[&harness.plugin("template.c", &[])],
        &[("template.url", studio.url()), ("template.key", KEY)],
    );
    assert_eq!(
        header(&session, "template:library").unwrap(),
        "Authorization: Bearer studio-1"
    );
    // And the one of the future finds its slot.
    let session = harness.plugin_session(&[&harness.plugin("new.c", &[])], &[]);
    assert_eq!(header(&session, "new:x").unwrap(), "X-Host: later");
}

/// A response of 8 bytes gets a status and no body.
#[test]
fn nothing_is_written_behind_the_size_that_a_response_states() {
    let harness = Harness::new();
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
    let path = harness.plugin_from_text("small.c", source);
    let session = harness.plugin_session(&[&path], &[("small.url", &server.url)]);
    assert_eq!(header(&session, "small:x").unwrap(), "X-Small: kept");
}

#[test]
fn init_and_deinit_are_counted() {
    let harness = Harness::new();
    let counted = harness.path("counted");
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
    let path = harness.plugin_from_text("counter.c", &source);
    let notes = || std::fs::read_to_string(&counted).unwrap_or_default();
    let open = || harness.plugin_session(&[&path], &[("counter.key", "k")]);
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
