//! The network that a request comes from. Addresses are used only here, and only for limits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::HeaderMap;

use crate::admission::Rates;
use crate::config::ProxyConfig;

/// The address of a connection's other end. `Debug` does not print it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Peer(IpAddr);

impl Peer {
    /// Returns the peer with this address.
    #[must_use]
    pub fn from_address(address: SocketAddr) -> Self {
        Self(address.ip())
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer")
    }
}

/// An IPv4 /24 or an IPv6 /48.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network(u64);

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

/// Rate limits of networks, and the rules that determine a request's network.
pub(super) struct Networks {
    proxy: Option<ProxyConfig>,
    rates: Rates<Network>,
}

impl Networks {
    pub(super) fn new(proxy: Option<ProxyConfig>, per_minute: u32) -> Self {
        let rates = Rates::per_minute(per_minute);
        Self { proxy, rates }
    }

    /// Returns the network of a connection for the connection limit. Returns `None` behind proxies,
    /// whose connections carry requests of many clients.
    pub(super) fn of_connection(&self, peer: Peer) -> Option<Network> {
        match self.proxy {
            None => Some(Network::from_address(peer.0)),
            Some(_) => None,
        }
    }

    /// Returns the network of a request's client for the memory limit, or `None` if the operator's
    /// proxies do not state it.
    pub(super) fn memory_network(&self, peer: Peer, headers: &HeaderMap) -> Option<Network> {
        let network = |address| Some(Network::from_address(address));
        match &self.proxy {
            None => network(peer.0),
            Some(proxy) => forwarded(headers, proxy.hops).and_then(network),
        }
    }

    /// Returns the network of a request's client for the rate limit: as the operator's proxies
    /// state it, or else the network of the connection.
    pub(super) fn rate_network(&self, peer: Peer, headers: &HeaderMap) -> Network {
        let forwarded = self
            .proxy
            .as_ref()
            .and_then(|proxy| forwarded(headers, proxy.hops));
        Network::from_address(forwarded.unwrap_or(peer.0))
    }

    /// Counts one report of a network. Returns `false` if the network has reached its limit.
    pub(super) fn try_acquire(&self, network: Network) -> bool {
        self.rates.try_acquire(&network)
    }
}

/// Returns the address at position `hops` of `X-Forwarded-For`, counted from the end. Clients can
/// forge all addresses before it.
fn forwarded(headers: &HeaderMap, hops: usize) -> Option<IpAddr> {
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    let index = lines
        .iter()
        .flat_map(|line| line.split(','))
        .count()
        .checked_sub(hops.max(1))?;
    let text = lines
        .iter()
        .flat_map(|line| line.split(','))
        .nth(index)?
        .trim();
    let address = text.parse().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

impl Network {
    pub(super) fn from_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(address.to_bits() >> 8)),
            // 48 bits, and a bit above them that is never set for IPv4 networks.
            IpAddr::V6(address) => Self((address.to_bits() >> 80) as u64 | 1 << 63),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn network(hops: Option<usize>, lines: &[&str]) -> Network {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let peer = Peer::from_address("203.0.113.9:1234".parse().unwrap());
        Networks::new(hops.map(|hops| ProxyConfig { hops }), 1).rate_network(peer, &headers)
    }

    fn plain(address: &str) -> Network {
        Network::from_address(address.parse().unwrap())
    }

    #[test]
    fn networks_are_prefixes() {
        assert!(
            plain("203.0.113.9") == plain("203.0.113.200")
                && plain("203.0.113.9") != plain("203.0.114.9")
        );
        assert!(
            plain("2001:db8:1:2::1") == plain("2001:db8:1:ff::2")
                && plain("2001:db8:1::") != plain("2001:db8:2::")
        );
        assert!(plain("::ffff:203.0.113.9") == plain("203.0.113.1"));
        assert!(plain("0.0.1.0") != plain("0:0:1::"));
    }

    #[test]
    fn only_what_our_proxies_wrote_is_believed() {
        let peer = plain("203.0.113.9");
        assert!(network(None, &["198.51.100.1"]) == peer);
        assert!(network(Some(1), &["192.0.2.1, 198.51.100.1"]) == plain("198.51.100.1"));
        assert!(
            network(Some(2), &["192.0.2.1, 198.51.100.1", "198.18.0.1"]) == plain("198.51.100.1")
        );
        assert!(network(Some(1), &["[2001:db8::1]:443"]) == plain("2001:db8::1"));
        assert!(network(Some(1), &[]) == peer && network(Some(3), &["198.51.100.1"]) == peer);
        assert!(network(Some(1), &["unknown"]) == peer);
        assert_eq!(
            format!("{:?}", Peer::from_address("203.0.113.9:1".parse().unwrap())),
            "Peer"
        );
    }
}
