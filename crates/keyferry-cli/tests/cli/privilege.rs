//! The programs with the setuid or setgid bit or with file capabilities: they run no command.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use keyferry_sandbox::credentials as c;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::privilege::{self, Raised};

use crate::programs::{HELPER, KEYFERRY, protocol_and_host};

#[test]
fn a_program_with_raised_privilege_takes_nothing_from_its_caller() {
    let harness = Harness::new();
    if privilege::without(harness.folder()) {
        return;
    }
    for name in ["", "bin"] {
        fs::create_dir_all(harness.path(name)).unwrap();
        fs::set_permissions(harness.path(name), Permissions::from_mode(0o755)).unwrap();
    }
    let password = harness.write_file("password", c::PASSWORD, 0o644);
    let copies =
        [(KEYFERRY, "keyferry"), (HELPER, "git-credential-keyferry")].map(|(path, name)| {
            let copy = harness.path("bin").join(name);
            fs::copy(path, &copy).unwrap();
            copy
        });
    let url = harness.sandbox().masv_url().to_owned();
    let run = |program: usize, arguments: &[&str], input: &str| -> ProgramOutput {
        let mut command = harness.isolated_program(&copies[program], arguments);
        command
            .env("KEYFERRY_MASV_URL", &url)
            .env("KEYFERRY_MASV_EMAIL", c::EMAIL)
            .env("KEYFERRY_MASV_PASSWORD_FILE", &password);
        run_with_input(privilege::as_caller(&mut command), input)
    };
    let git_input = protocol_and_host(&url);
    let engflow_input = format!("{{\"uri\": \"{url}/v1/users\"}}");
    let rows: [(usize, &[&str], &str); 6] = [
        (0, &["token", "user"], ""),
        (0, &["get"], &engflow_input),
        (0, &["git", "get"], &git_input),
        (1, &["get"], &git_input),
        (0, &["config"], ""),
        (0, &["doctor"], ""),
    ];
    for (program, arguments, input) in rows {
        // The helper may start the other program.
        copies.iter().for_each(|copy| Raised::No.apply(copy));
        let control = run(program, arguments, input);
        assert_eq!(control.code, Some(0), "{arguments:?}: {control:?}");
        harness.sandbox().reset_counts();
        for raised in Raised::KINDS {
            raised.apply(&copies[program]);
            let output = run(program, arguments, input);
            assert!(
                output.code == Some(1)
                    && output.out.is_empty()
                    && output.err.contains("AT_SECURE")
                    && output.err.contains("chmod ug-s"),
                "{raised:?}, {arguments:?}: {output:?}"
            );
            assert!(
                harness.sandbox().counts().is_empty(),
                "{raised:?}, {arguments:?}"
            );
        }
    }
}
