//! Plugins as the programs see them: `keyferry plugin`, and every command over a plugin's tokens.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

mod author;
mod path_check;
mod template;
mod vault;

/// Returns the arguments with which git asks nothing but keyferry's helper for a credential.
fn git_credential(operation: &str) -> [String; 8] {
    let helper = env!("CARGO_BIN_EXE_git-credential-keyferry");
    [
        "-c",
        "credential.helper=",
        "-c",
        &format!("credential.helper={helper}"),
        "-c",
        "credential.useHttpPath=true",
        "credential",
        operation,
    ]
    .map(str::to_owned)
}
