//! Programs with raised privilege: the setuid or setgid bit, or file capabilities.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::skip;

/// The user who starts the programs.
pub const CALLER: u32 = 12345;
const GROUP: u32 = 23456;
/// CAP_DAC_OVERRIDE, which containers usually grant.
const CAPABILITY: u32 = 1 << 1;

/// The means by which a program of root has more rights than its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    No,
    Setuid,
    Setgid,
    Capability,
}

impl Raised {
    /// All kinds of raised privilege.
    pub const KINDS: [Self; 3] = [Self::Setuid, Self::Setgid, Self::Capability];

    /// Changes a program's bits and capabilities to this kind.
    pub fn apply(self, program: &Path) {
        let (group, mode) = match self {
            Self::Setuid => (0, 0o4755),
            Self::Setgid => (GROUP, 0o2755),
            Self::No | Self::Capability => (0, 0o755),
        };
        // A change of owner removes bits and capabilities, so it comes first.
        chown(program, Some(0), Some(group)).unwrap();
        fs::set_permissions(program, Permissions::from_mode(mode)).unwrap();
        if self == Self::Capability {
            set_capability(program);
        }
    }
}

/// Writes what `setcap cap_dac_override=ep` writes, see capabilities(7).
#[expect(unsafe_code, reason = "system calls")]
fn set_capability(program: &Path) {
    const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
    let words = [REVISION_2_EFFECTIVE, CAPABILITY, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = CString::new(program.as_os_str().as_bytes()).unwrap();
    // SAFETY: path and name are C strings, and the value has this many bytes.
    let code = unsafe {
        libc::setxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
}

/// Starts a command as [`CALLER`], who is in no group of root.
pub fn as_caller(command: &mut Command) -> &mut Command {
    command.uid(CALLER).gid(CALLER)
}

/// Skips the current test unless programs in this directory can raise their privilege.
#[must_use = "the caller returns if the test is skipped"]
#[expect(unsafe_code, reason = "system calls")]
pub fn without(dir: &Path) -> bool {
    if skip::without_root() {
        return true;
    }
    let path = CString::new(dir.as_os_str().as_bytes()).unwrap();
    // SAFETY: all bytes of the structure may be zero.
    let mut facts: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` and `facts` outlive the call.
    let code = unsafe { libc::statvfs(path.as_ptr(), &mut facts) };
    // SAFETY: the call takes numbers.
    let is_forbidden = unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) } == 1;
    let is_raised = code == 0 && facts.f_flag & libc::ST_NOSUID == 0 && !is_forbidden;
    if !is_raised {
        skip::report(
            "no program can raise its privilege; set TMPDIR to a file system that is mounted without nosuid, and run the tests without no_new_privs",
        );
    }
    !is_raised
}
