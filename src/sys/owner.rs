//! Tells who owns a file. In a user namespace, the kernel shows all owners from outside as one user.
//!
//! Rootless podman, bwrap, firejail and apptainer run programs in such a namespace. It maps some of
//! the machine's users to users of its own. Each user that it does not map appears as the overflow
//! user, 65534. A file of that user may belong to root, or to any other user of the machine.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

const ROOT: u32 = 0;
/// The ID of the overflow user, if the system doesn't tell.
const DEFAULT_OVERFLOW_ID: u32 = 65534;
/// The number of user IDs. The last 32-bit number is none.
const ALL_IDS: u64 = u32::MAX as u64;

/// The owner of a file, as far as this process can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The process's effective user, or root.
    UserOrRoot,
    /// Another user.
    Other,
    /// A user outside this user namespace: root or any other user of the machine.
    Unmapped {
        /// Whether the owner may also be a user of this namespace, which maps the overflow user's ID
        /// too.
        may_be_mapped: bool,
    },
}

impl Owner {
    /// Returns the owner for the ID that the kernel reports. Reads nothing for the files of root and
    /// of an ordinary user.
    pub fn of(id: u32) -> Self {
        let user = user_id();
        let is_usual = id == ROOT || id == user && id != DEFAULT_OVERFLOW_ID;
        if is_usual || id != overflow_id() {
            return Self::without_namespace(id, user);
        }
        Self::classify(id, user, IdMap::read().as_ref())
    }

    fn without_namespace(id: u32, user: u32) -> Self {
        if id == ROOT || id == user {
            Self::UserOrRoot
        } else {
            Self::Other
        }
    }

    /// Classifies the overflow user. Without a map, the process may be in a user namespace.
    fn classify(id: u32, user: u32, map: Option<&IdMap>) -> Self {
        match map {
            Some(map) if map.is_complete() => Self::without_namespace(id, user),
            Some(map) if !map.contains(id) => Self::Unmapped {
                may_be_mapped: false,
            },
            _ if id == user => Self::UserOrRoot,
            _ => Self::Unmapped {
                may_be_mapped: true,
            },
        }
    }

    /// Returns the owner as error messages name it. This is not for [`Owner::UserOrRoot`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Unmapped { .. } => "a user outside this user namespace",
            Self::UserOrRoot | Self::Other => "another user",
        }
    }
}

/// Returns the id of the process's effective user.
#[expect(unsafe_code, reason = "system calls")]
pub fn user_id() -> u32 {
    // SAFETY: the call takes no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

/// Says for an error message to whom something with this user id belongs.
pub fn belongs_to(id: u32) -> String {
    format!("belongs to {} (uid {id})", Owner::of(id).name())
}

/// Returns what to do about a directory that belongs to this owner, who is neither this user nor
/// root. Root must not change the owner. Rationale: `sudo` may keep HOME or XDG_* of the user who
/// called it. The directory then rightly belongs to that user.
pub fn own_dir_remedy(owner: Owner) -> &'static str {
    match owner {
        Owner::Unmapped { .. } => "set HOME and XDG_* to directories of a user of this namespace",
        _ if user_id() == ROOT => {
            "set HOME and XDG_* to directories of the user that keyferry runs as (`sudo -H`)"
        }
        _ => "change its owner with `chown`",
    }
}

/// Returns what to do about a file that is only read and belongs to this owner, who is neither this
/// user nor root.
pub fn read_file_remedy(owner: Owner) -> &'static str {
    match owner {
        Owner::Unmapped { .. } => "mount it read-only (podman: `:ro`, bwrap: `--ro-bind`)",
        _ => own_dir_remedy(owner),
    }
}

/// Returns the ID of the overflow user. Reads it once.
#[cfg(target_os = "linux")]
fn overflow_id() -> u32 {
    // 0 until the ID is known. Two threads that read the ID at once store the same number.
    static KNOWN: AtomicU32 = AtomicU32::new(0);
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            let text = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
            let id = text.trim().parse().unwrap_or(DEFAULT_OVERFLOW_ID);
            KNOWN.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}

/// Other systems have no user namespaces.
#[cfg(not(target_os = "linux"))]
fn overflow_id() -> u32 {
    u32::MAX
}

/// The users that a user namespace maps: ranges of IDs.
struct IdMap(Vec<(u64, u64)>);

impl IdMap {
    /// Reads the map of this process. `None` if `/proc` is not mounted. The map is not kept, because
    /// a process may enter another namespace.
    fn read() -> Option<Self> {
        fs::read_to_string("/proc/self/uid_map")
            .ok()
            .map(|text| Self::parse(&text))
    }

    /// Parses lines with the first ID in the namespace, the first ID outside, and their number.
    fn parse(text: &str) -> Self {
        let range = |line: &str| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse);
            let (first, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
            Some((first.ok()?, count.ok()?))
        };
        Self(text.lines().filter_map(range).collect())
    }

    fn contains(&self, id: u32) -> bool {
        let is_in = |(first, count): &(u64, u64)| (*first..first + count).contains(&id.into());
        self.0.iter().any(is_in)
    }

    /// Returns whether the namespace maps every user, as the machine's first namespace does.
    fn is_complete(&self) -> bool {
        self.0.iter().map(|(_, count)| count).sum::<u64>() >= ALL_IDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The tests in namespaces are in tests/stores/user_namespaces.rs.

    const UNMAPPED: Owner = Owner::Unmapped {
        may_be_mapped: false,
    };
    const AMBIGUOUS: Owner = Owner::Unmapped {
        may_be_mapped: true,
    };

    #[test]
    fn the_overflow_user_is_an_ordinary_one_only_if_all_users_are_mapped() {
        // the map, the user, the owner 65534
        for (map, user, owner) in [
            (Some("0 0 4294967295"), 1000, Owner::Other),
            (Some("0 0 4294967295"), 65534, Owner::UserOrRoot),
            (Some("0 1000 1"), 0, UNMAPPED),
            (Some("0 1000 1\n1 100000 65533\n"), 0, UNMAPPED),
            (Some("0 1000 1\n1 100000 65534\n"), 0, AMBIGUOUS),
            (Some("0 1000 1\n1 100000 65536\n"), 0, AMBIGUOUS),
            (Some("0 1000 1\n1 100000 65536\n"), 65534, Owner::UserOrRoot),
            (Some("65534 1000 1"), 65534, Owner::UserOrRoot),
            // A process that its namespace doesn't map, as `unshare -U` starts it.
            (Some(""), 65534, UNMAPPED),
            (Some("x y z\n0"), 0, UNMAPPED),
            // Without /proc.
            (None, 0, AMBIGUOUS),
            (None, 65534, Owner::UserOrRoot),
        ] {
            let map = map.map(IdMap::parse);
            let found = Owner::classify(65534, user, map.as_ref());
            assert_eq!(found, owner, "{user}");
        }
        assert_eq!(Owner::of(0), Owner::UserOrRoot);
        assert_eq!(Owner::of(user_id()), Owner::UserOrRoot);
        assert_eq!(Owner::of(12345), Owner::Other);
    }
}
