//! The options of a sandbox: ports, TLS and clock.

use crate::clock::Clock;

/// The options of a sandbox. By default it uses free ports, no TLS and the real clock.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port of MASV cloud; 0 means any free port.
    pub masv_port: u16,
    /// Port of the MASV Agent; 0 means any free port.
    pub agent_port: u16,
    /// Port of FileVerbs; 0 means any free port.
    pub fileverbs_port: u16,
    /// Port of the object storage behind MASV; 0 means any free port.
    pub storage_port: u16,
    /// Serves all of them over TLS, with a certificate issued by the CA that
    /// [`Sandbox::ca_pem`](crate::Sandbox::ca_pem) returns.
    pub tls: bool,
    /// The clock for token expiry and `Date` headers.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            masv_port: 0,
            agent_port: 0,
            fileverbs_port: 0,
            storage_port: 0,
            tls: false,
            clock: Clock::real(),
        }
    }
}
