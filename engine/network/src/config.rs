//! What one engine instance calls its own in the kernel.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use ipnet::Ipv6Net;

use crate::ipam::Pool;

/// Names and roots of one engine instance. Two instances with different values never meet.
#[derive(Debug)]
pub struct Config {
    /// First characters of every interface name: at most six, because eight more follow and the kernel stops at fifteen.
    pub prefix: String,
    /// Name of the nf_tables table.
    pub table: String,
    /// Address space that networks without a wanted subnet are cut from.
    pub pools: Vec<Pool>,
    /// A /48 (or shorter) unique local prefix that IPv6 networks without a wanted subnet are cut from.
    pub ula: Ipv6Net,
    /// Where namespaces are pinned, one file each.
    pub netns_dir: PathBuf,
    /// Whose name servers must stay reachable: the host's `resolv.conf`.
    pub resolv_conf: PathBuf,
    /// The namespace in which bridges, rules and host ports live.
    pub root_netns: OwnedFd,
}
