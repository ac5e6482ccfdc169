//! Networks and the endpoints containers have on them.

use std::collections::BTreeMap;

use crate::wire::wire;

wire! {
    /// A network as inspect and list show it.
    pub struct Network {
        pub name: String,
        pub id: String,
        pub created: String,
        pub scope: String,
        pub driver: String,
        #[serde(rename = "EnableIPv4")]
        pub enable_ipv4: bool,
        #[serde(rename = "EnableIPv6")]
        pub enable_ipv6: bool,
        #[serde(rename = "IPAM")]
        pub ipam: Ipam,
        pub internal: bool,
        pub attachable: bool,
        pub ingress: bool,
        pub config_from: ConfigReference,
        pub config_only: bool,
        /// Running members by container id; empty in lists.
        pub containers: BTreeMap<String, NetworkMember>,
        pub options: BTreeMap<String, String>,
        pub labels: BTreeMap<String, String>,
    }

    /// Names a network whose configuration is taken over.
    pub struct ConfigReference {
        pub network: String,
    }

    /// A running container on a network, as network inspect shows it.
    pub struct NetworkMember {
        pub name: String,
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        pub mac_address: String,
        /// With prefix length: `172.18.0.2/16`, or empty.
        #[serde(rename = "IPv4Address")]
        pub ipv4_address: String,
        /// With prefix length, or empty.
        #[serde(rename = "IPv6Address")]
        pub ipv6_address: String,
    }

    /// How addresses are given out.
    pub struct Ipam {
        pub driver: String,
        pub options: BTreeMap<String, String>,
        pub config: Vec<IpamPool>,
    }

    /// One pool of addresses.
    pub struct IpamPool {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subnet: String,
        #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
        pub ip_range: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub gateway: String,
        #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "BTreeMap::is_empty")]
        pub auxiliary_addresses: BTreeMap<String, String>,
    }

    /// Body of `POST /networks/create`.
    pub struct NetworkCreate {
        pub name: String,
        pub driver: String,
        pub scope: String,
        #[serde(rename = "EnableIPv4")]
        pub enable_ipv4: Option<bool>,
        #[serde(rename = "EnableIPv6")]
        pub enable_ipv6: Option<bool>,
        #[serde(rename = "IPAM")]
        pub ipam: Option<Ipam>,
        pub internal: bool,
        pub attachable: bool,
        pub ingress: bool,
        pub config_only: bool,
        pub config_from: Option<ConfigReference>,
        pub options: BTreeMap<String, String>,
        pub labels: BTreeMap<String, String>,
    }

    /// Answer of `POST /networks/create`.
    pub struct NetworkCreated {
        pub id: String,
        pub warning: String,
    }

    /// Body of `POST /networks/{id}/connect`.
    pub struct NetworkConnect {
        pub container: String,
        pub endpoint_config: Option<EndpointSettings>,
    }

    /// Body of `POST /networks/{id}/disconnect`.
    pub struct NetworkDisconnect {
        pub container: String,
        pub force: bool,
    }

    /// Answer of `POST /networks/prune`.
    pub struct NetworksPruned {
        pub networks_deleted: Vec<String>,
    }

    /// A container's endpoint on one network: what is wanted (`IPAMConfig`, `Links`, `Aliases` …) and what came of it.
    pub struct EndpointSettings {
        #[serde(rename = "IPAMConfig")]
        pub ipam_config: Option<EndpointIpam>,
        pub links: Option<Vec<String>>,
        pub aliases: Option<Vec<String>>,
        pub driver_opts: Option<BTreeMap<String, String>>,
        /// The network with the highest priority gives the default route.
        pub gw_priority: i64,
        #[serde(rename = "NetworkID")]
        pub network_id: String,
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        pub gateway: String,
        /// Without prefix length, or empty.
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        pub mac_address: String,
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: i64,
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: i64,
        /// Every name the container answers to on this network.
        #[serde(rename = "DNSNames")]
        pub dns_names: Option<Vec<String>>,
    }

    /// Addresses asked for.
    pub struct EndpointIpam {
        #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
        pub ipv4_address: String,
        #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
        pub ipv6_address: String,
        #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
        pub link_local_ips: Vec<String>,
    }
}
