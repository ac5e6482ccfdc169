//! `network`: networks of the engine, whatever project they belong to.

use bowline_api::{EndpointIpam, EndpointSettings, Network as Found};
use bowline_api::{Ipam, IpamPool, NetworkConnect, NetworkCreate, NetworkDisconnect};
use bowline_client::{Client, Kind};
use clap::{Args, Subcommand};
use serde_json::json;

use super::containers::short;
use super::context::Context;
use super::events::{filters, pair};
use super::format::{Format, Json, Listing};
use crate::ui::{Failure, Outcome, WithContext as _};

/// See the module.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Network {
    /// List networks
    Ls(Ls),
    /// Make a network
    Create(Box<Create>),
    /// Remove networks
    Rm(Rm),
    /// Print networks as JSON
    Inspect(Inspect),
    /// Put a container on a network
    Connect(Connect),
    /// Take a container off a network
    Disconnect(Disconnect),
    /// Remove networks that no container is on
    Prune(Prune),
}

/// `network ls`
#[derive(Args, Clone, Debug)]
pub(super) struct Ls {
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// `table`, `json` (an object a line), or a Go template
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    format: Format,
    /// `name=`, `id=`, `driver=`, `label=`, `dangling=`, `type=`, `scope=`
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = pair)]
    filters: Vec<(String, String)>,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
}

/// `network create`
#[derive(Args, Clone, Debug)]
pub(super) struct Create {
    /// Name
    name: String,
    /// Driver
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// Label
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Option of the driver
    #[arg(short, long = "opt", value_name = "NAME=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    /// Addresses, as in `10.5.0.0/24`
    #[arg(long, value_name = "CIDR")]
    subnet: Vec<String>,
    /// Part of the subnet that containers get addresses from
    #[arg(long, value_name = "CIDR")]
    ip_range: Vec<String>,
    /// The host's address
    #[arg(long, value_name = "IP")]
    gateway: Vec<String>,
    /// No way out of it
    #[arg(long)]
    internal: bool,
    /// IPv6, too
    #[arg(long)]
    ipv6: bool,
}

/// `network rm`
#[derive(Args, Clone, Debug)]
pub(super) struct Rm {
    /// Names or ids
    #[arg(required = true)]
    names: Vec<String>,
    /// A network that is not there is no error
    #[arg(short, long)]
    force: bool,
}

/// `network inspect`
#[derive(Args, Clone, Debug)]
pub(super) struct Inspect {
    /// Names or ids
    #[arg(required = true)]
    names: Vec<String>,
    /// `json`, or a Go template
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "json",
        hide_default_value = true
    )]
    format: Format,
}

/// `network connect`
#[derive(Args, Clone, Debug)]
pub(super) struct Connect {
    /// Network
    network: String,
    /// Container
    container: String,
    /// A name for it on this network
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// IPv4 address
    #[arg(long, value_name = "IP")]
    ip: Option<String>,
    /// IPv6 address
    #[arg(long, value_name = "IP")]
    ip6: Option<String>,
}

/// `network disconnect`
#[derive(Args, Clone, Debug)]
pub(super) struct Disconnect {
    /// Network
    network: String,
    /// Container
    container: String,
    /// Even if the container is not there any more
    #[arg(short, long)]
    force: bool,
}

/// `network prune`
#[derive(Args, Clone, Debug)]
pub(super) struct Prune {
    /// `label=`, `until=`
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = pair)]
    filters: Vec<(String, String)>,
    /// There is no question; this is for those who are used to it
    #[arg(short, long)]
    force: bool,
}

impl Network {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        match self {
            Self::Ls(ls) => ls.run(context, &client).await,
            Self::Create(create) => create.run(context, &client).await,
            Self::Rm(rm) => rm.run(context, &client).await,
            Self::Inspect(inspect) => {
                super::inspect::print(
                    context,
                    &client,
                    &[Kind::Network],
                    &inspect.names,
                    &inspect.format,
                    false,
                )
                .await
            }
            Self::Connect(connect) => connect.run(&client).await,
            Self::Disconnect(disconnect) => disconnect.run(&client).await,
            Self::Prune(prune) => {
                let pruned = client.networks_prune(&filters(&prune.filters)).await?;
                pruned
                    .networks_deleted
                    .iter()
                    .for_each(|name| context.ui.line(name));
                Ok(0)
            }
        }
    }
}

impl Ls {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        let found = client.networks_list(&filters(&self.filters)).await;
        let mut found = found.during("cannot list networks")?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let id = |network: &Found| match self.no_trunc {
            true => network.id.clone(),
            false => short(&network.id).to_owned(),
        };
        if self.quiet {
            found
                .iter()
                .for_each(|network| context.ui.line(id(network)));
            return Ok(0);
        }
        let mut listing = Listing::new(&["NETWORK ID", "NAME", "DRIVER", "SCOPE"]);
        for network in found {
            let labels = network
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"));
            let object = json!({
                "CreatedAt": network.created, "Driver": network.driver, "ID": id(&network),
                "IPv4": network.enable_ipv4, "IPv6": network.enable_ipv6, "Internal": network.internal,
                "Labels": labels.collect::<Vec<_>>().join(","), "Name": network.name, "Scope": network.scope,
            });
            let cells = vec![id(&network), network.name, network.driver, network.scope];
            listing.row(object, cells);
        }
        listing.print(context.ui, &self.format, Json::Lines)?;
        Ok(0)
    }
}

impl Create {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        let create = NetworkCreate {
            name: self.name.clone(),
            driver: self.driver.clone(),
            enable_ipv6: self.ipv6.then_some(true),
            ipam: self.ipam()?,
            internal: self.internal,
            options: self.options.iter().cloned().collect(),
            labels: self.labels.iter().cloned().collect(),
            ..NetworkCreate::default()
        };
        let made = client.network_create(&create).await;
        let made = made.during(format!("cannot create network `{}`", self.name))?;
        if !made.warning.is_empty() {
            context.ui.warn(&made.warning);
        }
        context.ui.line(made.id);
        Ok(0)
    }

    /// The nth range and gateway belong to the nth subnet.
    fn ipam(&self) -> Outcome<Option<Ipam>> {
        let subnets = self.subnet.len();
        if self.ip_range.len() > subnets || self.gateway.len() > subnets {
            return Err(Failure::usage("a range or a gateway needs a subnet")
                .hint("for example `--subnet 10.5.0.0/24 --gateway 10.5.0.1`"));
        }
        let nth = |list: &[String], index: usize| list.get(index).cloned().unwrap_or_default();
        let pools = self
            .subnet
            .iter()
            .enumerate()
            .map(|(index, subnet)| IpamPool {
                subnet: subnet.clone(),
                ip_range: nth(&self.ip_range, index),
                gateway: nth(&self.gateway, index),
                ..IpamPool::default()
            });
        let config: Vec<IpamPool> = pools.collect();
        Ok((!config.is_empty()).then(|| Ipam {
            config,
            ..Ipam::default()
        }))
    }
}

impl Rm {
    async fn run(&self, context: &Context, client: &Client) -> Outcome {
        for name in &self.names {
            match client.network_remove(name).await {
                Err(error) if self.force && error.is_not_found() => {}
                removed => {
                    removed.during(format!("cannot remove network `{name}`"))?;
                    context.ui.line(name);
                }
            }
        }
        Ok(0)
    }
}

impl Connect {
    async fn run(&self, client: &Client) -> Outcome {
        let ipam = (self.ip.is_some() || self.ip6.is_some()).then(|| EndpointIpam {
            ipv4_address: self.ip.clone().unwrap_or_default(),
            ipv6_address: self.ip6.clone().unwrap_or_default(),
            ..EndpointIpam::default()
        });
        let connect = NetworkConnect {
            container: self.container.clone(),
            endpoint_config: Some(EndpointSettings {
                aliases: (!self.alias.is_empty()).then(|| self.alias.clone()),
                ipam_config: ipam,
                ..EndpointSettings::default()
            }),
        };
        let done = client.network_connect(&self.network, &connect).await;
        done.during(format!(
            "cannot put `{}` on network `{}`",
            self.container, self.network
        ))?;
        Ok(0)
    }
}

impl Disconnect {
    async fn run(&self, client: &Client) -> Outcome {
        let disconnect = NetworkDisconnect {
            container: self.container.clone(),
            force: self.force,
        };
        let done = client.network_disconnect(&self.network, &disconnect).await;
        done.during(format!(
            "cannot take `{}` off network `{}`",
            self.container, self.network
        ))?;
        Ok(0)
    }
}
