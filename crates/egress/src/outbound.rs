//! What an operator may set about outgoing requests, as it is written in a configuration.

use dunlin_types::Coded;

use crate::guard::AddressPolicy;
use crate::proxy::Proxy;

/// The operator's settings. Nothing of them comes from the environment's usual variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OutboundRules {
    /// Networks (`10.1.0.0/16`), addresses or host names that endpoints may have although they are
    /// not on the public internet. A metadata address is opened only by naming it in full.
    pub open: Vec<String>,
    /// Whether plain http is closed.
    pub https_only: bool,
    /// Whether endpoints may go without a check of certificates.
    pub insecure_tls: bool,
    /// A proxy for outgoing requests: `http://` or `socks5://`, with a password maybe.
    pub proxy: Option<String>,
    /// What is reached without it: domains, addresses, networks or `*`.
    pub no_proxy: Vec<String>,
}

impl OutboundRules {
    /// The base with what the operator opens and closes.
    ///
    /// # Errors
    /// [`dunlin_types::Code::ConfigBad`] when something cannot be read.
    pub fn policy(&self, base: AddressPolicy) -> Result<AddressPolicy, Coded> {
        let mut policy = base;
        for entry in &self.open {
            let is_name = entry.contains(|c: char| c.is_ascii_alphabetic())
                && !entry.contains([':', '/', ' ']);
            policy = if is_name {
                policy.allow_host(entry)
            } else {
                policy.allow_cidr(entry)?
            };
        }
        if self.https_only {
            policy = policy.require_https();
        }
        if self.insecure_tls {
            policy = policy.allow_insecure_tls();
        }
        Ok(policy)
    }

    /// The proxy, if one is named.
    ///
    /// # Errors
    /// [`dunlin_types::Code::ConfigBad`] when its URL cannot be used.
    pub fn proxy(&self) -> Result<Option<Proxy>, Coded> {
        let url = self.proxy.as_deref().filter(|url| !url.trim().is_empty());
        url.map(|url| Proxy::parse(url, &self.no_proxy)).transpose()
    }
}
