//! Runs the C programs of `c-tests` with the address sanitizer and the leak sanitizer, which watch the
//! programs and the library: `cargo run --example asan`.
//!
//! Builds the library with `-Zsanitizer=address` into `target/asan`. `RUSTC_BOOTSTRAP` lets a stable
//! compiler accept this flag; the compiler brings the sanitizer's runtime along.
//!
//! The sanitizers check the code of the library, of all crates that it is built from, and of the
//! programs. The code of Rust's standard library and the assembly of `ring` are not instrumented: their
//! own accesses are not checked, but all their memory comes from the sanitizer, so leaks, double
//! frees, and later accesses by instrumented code are found. Planted faults in `c-tests/asan` show
//! that both sanitizers work.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the run")]
#![expect(clippy::print_stdout, reason = "the program reports its results")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use keyferry_sandbox::credentials as c;
use keyferry_testing::child::{self, ProgramOutput};
use keyferry_testing::harness::Harness;
use keyferry_testing::{compiler, files};

const LIMIT: Duration = Duration::from_secs(300);
/// The exit code of a program after a report of a sanitizer.
const REPORTED: i32 = 99;
/// Programs that cannot run so, each with the reason.
const LEFT_OUT: [(&str, &str); 5] = [
    (
        "wiped_secrets.c",
        "it searches freed memory, which the sanitizer keeps apart",
    ),
    (
        "load_unload.c",
        "it measures memory, which the sanitizer keeps after it is freed",
    ),
    (
        "plugin.c",
        "it needs the plugins that crates/keyferry-cli/tests/plugins compiles",
    ),
    (
        "loading.c",
        "it loads the library into a program without the sanitizer",
    ),
    (
        "privilege.c",
        "it needs raised privilege, with which the loader ignores LD_LIBRARY_PATH",
    ),
];
/// The faults in `c-tests/asan`, and what the report of each must contain.
const PLANTS: [(&str, [&str; 2]); 2] = [
    (
        "use_after_free.c",
        ["heap-use-after-free", "keyferry_request_cancel"],
    ),
    (
        "leak.c",
        [
            "LeakSanitizer: detected memory leaks",
            "keyferry_request_new",
        ],
    ),
];

fn main() -> ExitCode {
    let build = Build::new();
    let mut failures = 0;
    for program in programs() {
        let ended = build.run(&program);
        let passed = ended.status.success();
        println!("{program}: {}", if passed { "no report" } else { "FAILED" });
        if !passed {
            println!("{}", ended.said());
            failures += 1;
        }
    }
    for (program, parts) in PLANTS {
        let ended = build.run(&format!("asan/{program}"));
        let found =
            ended.code == Some(REPORTED) && parts.iter().all(|part| ended.err.contains(part));
        println!(
            "asan/{program}: {}",
            if found { "found" } else { "NOT FOUND" }
        );
        if !found {
            println!("{}", ended.said());
            failures += 1;
        }
    }
    ExitCode::from(u8::from(failures > 0))
}

/// Returns the names of the programs in `c-tests`.
fn programs() -> Vec<String> {
    let entries = std::fs::read_dir(files::file("c-tests")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".c") || name.ends_with(".cpp"))
        .collect();
    names.sort();
    for (name, reason) in LEFT_OUT {
        names.retain(|other| other != name);
        println!("{name}: left out, because {reason}");
    }
    names
}

/// The library with the sanitizer, and the sanitizer's runtime.
struct Build {
    library: PathBuf,
    runtime: PathBuf,
}

impl Build {
    /// Builds the library.
    fn new() -> Self {
        let host = rustc(&["-vV"]);
        let host = host
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap();
        let target_dir = files::beside("../../asan");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .current_dir(files::file("."))
            .args([
                "build",
                "--locked",
                "--package",
                "keyferry",
                "--lib",
                "--target",
                host,
                // Compiles faster than the optimized dependencies of the tests.
                "--config",
                "profile.dev.package.'*'.opt-level=0",
            ])
            .arg("--target-dir")
            .arg(&target_dir)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address")
            .status()
            .unwrap();
        assert!(
            status.success(),
            "the library cannot be built with the sanitizer"
        );
        Self {
            library: target_dir.join(host).join("debug/libkeyferry.so"),
            runtime: runtime(host),
        }
    }

    /// Compiles and runs a program of `c-tests`.
    fn run(&self, source: &str) -> ProgramOutput {
        let harness = Harness::with_library_at(&self.library);
        let mut command =
            Command::new(self.compile(&files::file("c-tests").join(source), &harness));
        if source == "quickstart.c" {
            command.arg(format!("packages/{}", c::PACKAGE_ID));
        }
        // A forked child has lost the stacks of its parent's threads, and what they alone pointed to.
        let detects_leaks = u8::from(source != "fork.c");
        harness
            .set_test_environment(&mut command)
            .env("LD_LIBRARY_PATH", harness.path("lib"))
            .env(
                "ASAN_OPTIONS",
                format!("exitcode={REPORTED}:detect_leaks={detects_leaks}"),
            )
            .env("TEST_PATIENCE_S", "20");
        child::run(&mut command, LIMIT)
    }

    fn compile(&self, source: &Path, harness: &Harness) -> PathBuf {
        let (object, program) = (harness.path("program.o"), harness.path("program"));
        let mut compile = compiler::strict(source);
        compile.args(["-fsanitize=address", "-c", "-I"]);
        compile.arg(files::file("include")).arg("-o").arg(&object);
        compiler::succeed(&mut compile);
        // Without `-fsanitize`, so that the C compiler's own runtime is not linked too.
        let mut link = compiler::debugging(compiler::is_cpp(source));
        link.arg(&object).arg("-o").arg(&program);
        link.args(["-Wl,--export-dynamic", "-Wl,--whole-archive"])
            .arg(&self.runtime);
        link.arg("-Wl,--no-whole-archive")
            .arg("-L")
            .arg(harness.path("lib"));
        link.args(["-lkeyferry", "-pthread", "-ldl", "-lm", "-lrt"]);
        compiler::succeed(&mut link);
        program
    }
}

fn rustc(arguments: &[&str]) -> String {
    compiler::succeed(Command::new("rustc").args(arguments)).out
}

/// Returns the path of the sanitizer's runtime, which comes with the compiler.
fn runtime(host: &str) -> PathBuf {
    let sysroot = rustc(&["--print", "sysroot"]);
    let directory = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("lib");
    let mut entries = std::fs::read_dir(&directory).unwrap();
    let is_runtime = |path: &PathBuf| path.to_string_lossy().ends_with("_rt.asan.a");
    entries
        .find_map(|entry| Some(entry.unwrap().path()).filter(is_runtime))
        .unwrap_or_else(|| {
            panic!(
                "no runtime of the address sanitizer in {}",
                directory.display()
            )
        })
}
