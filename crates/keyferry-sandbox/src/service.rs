//! The three services that the sandbox provides.

/// One of the three services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// MASV cloud.
    Masv,
    /// The local MASV Agent.
    Agent,
    /// FileVerbs.
    FileVerbs,
}

impl Service {
    /// Returns `masv`, `agent` or `fileverbs`.
    pub fn name(self) -> &'static str {
        match self {
            Service::Masv => "masv",
            Service::Agent => "agent",
            Service::FileVerbs => "fileverbs",
        }
    }

    pub(crate) fn from_name(name: &str) -> Result<Service, String> {
        let service = [Service::Masv, Service::Agent, Service::FileVerbs]
            .into_iter()
            .find(|one| one.name() == name);
        service
            .ok_or_else(|| format!("no service is called '{name}'; use masv, agent or fileverbs"))
    }
}
