//! The options of a sandbox: ports, TLS and the clock.

use crate::clock::Clock;

/// How a sandbox starts. The default is any free port, no TLS, the real clock.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port of MASV cloud; 0 is any that is free.
    pub masv_port: u16,
    /// Port of the MASV Agent.
    pub agent_port: u16,
    /// Port of FileVerbs.
    pub fileverbs_port: u16,
    /// All three behind TLS, with a certificate of [`Sandbox::ca_pem`](crate::Sandbox::ca_pem).
    pub tls: bool,
    /// The clock of tokens and `Date` headers.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            masv_port: 0,
            agent_port: 0,
            fileverbs_port: 0,
            tls: false,
            clock: Clock::real(),
        }
    }
}
