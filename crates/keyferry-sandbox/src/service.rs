//! The services that the sandbox provides.

/// A service of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// MASV cloud.
    Masv,
    /// The local MASV Agent.
    Agent,
    /// FileVerbs.
    FileVerbs,
    /// The object storage behind MASV.
    Storage,
}

impl Service {
    pub(crate) const ALL: [Service; 4] = [
        Service::Masv,
        Service::Agent,
        Service::FileVerbs,
        Service::Storage,
    ];

    /// Returns `masv`, `agent`, `fileverbs` or `storage`.
    pub fn name(self) -> &'static str {
        match self {
            Service::Masv => "masv",
            Service::Agent => "agent",
            Service::FileVerbs => "fileverbs",
            Service::Storage => "storage",
        }
    }

    pub(crate) fn from_name(name: &str) -> Result<Service, String> {
        let service = Service::ALL.into_iter().find(|one| one.name() == name);
        service.ok_or_else(|| {
            format!("no service is called '{name}'; use masv, agent, fileverbs or storage")
        })
    }
}
