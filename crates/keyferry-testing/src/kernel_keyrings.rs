//! Commands that can't use the kernel's keyrings.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the kernel refuse all system calls for keyrings with EPERM, as in most containers. The
/// command and the programs that it starts then never touch the keyrings of the user who runs the
/// tests.
#[expect(unsafe_code, reason = "system calls")]
pub fn forbid(command: &mut Command) -> &mut Command {
    let rule = |code: u32, jt, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf: 0,
        k,
    };
    let is_call = |number: libc::c_long, jt| {
        rule(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            jt,
            number as u32,
        )
    };
    let mut rules = [
        // The number of the system call.
        rule(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        is_call(libc::SYS_add_key, 3),
        is_call(libc::SYS_request_key, 2),
        is_call(libc::SYS_keyctl, 1),
        rule(libc::BPF_RET, 0, libc::SECCOMP_RET_ALLOW),
        rule(
            libc::BPF_RET,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        ),
    ];
    let install = move || {
        let filter = libc::sock_fprog {
            len: rules.len() as u16,
            filter: rules.as_mut_ptr(),
        };
        // SAFETY: the call takes numbers.
        let code = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        if code != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: `filter` and `rules` outlive the call.
        let code = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
        if code != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls.
    unsafe { command.pre_exec(install) }
}
