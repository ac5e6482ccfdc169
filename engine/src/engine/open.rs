//! Opening the roots: what an earlier engine left is swept, adopted, or driven to its end.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bowline_build::{Builder, BuilderSettings};
use bowline_image::{Proxies, verify_filesystem};
use bowline_network::ipam::{Pool, default_pools};
use bowline_network::{Bridge, Host, Publication};
use bowline_runtime::cgroup::{Cgroup, CgroupError, Hierarchies};
use bowline_runtime::{AdoptError, Adopted, Shim, Shims};
use ipnet::{Ipv4Net, Ipv6Net};

use super::Engine;
use super::networks::{Networks, PREDEFINED, bridge};
use super::volumes::{Known as KnownVolumes, Volumes};
use crate::build::Builds;
use crate::config::Settings;
use crate::container::{self, Resume};
use crate::netthread::NetThread;
use crate::record::{ContainerRecord, NetworkRecord, Phase};
use crate::restart::Policy;
use crate::roots::Roots;
use crate::store::{Kind, Store, StoreError};
use crate::{clock, ids};

/// Why the state cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data root cannot hold containers.
    #[error("BOWLINE_DATA_ROOT does not fit")]
    Filesystem(#[from] bowline_image::FilesystemError),
    /// See [`StoreError`].
    #[error("the state store cannot be used")]
    Store(#[from] StoreError),
    /// The image store cannot be opened.
    #[error("the image store cannot be used")]
    Images(#[from] bowline_image::ImageError),
    /// The builder's folder cannot be used.
    #[error("the builder cannot be opened")]
    Builder(#[from] bowline_build::OpenError),
    /// A pool in the configuration is not a CIDR.
    #[error("subnet pool `{0}` is not an IPv4 network like 10.200.0.0/13")]
    Pool(String),
    /// Own namespace, random numbers, threads.
    #[error("cannot {0}")]
    System(&'static str, #[source] std::io::Error),
    /// Bridges and rules cannot be set up.
    #[error("the networks cannot be set up")]
    Network(#[from] bowline_network::NetworkError),
    /// No cgroups.
    #[error("control groups cannot be used")]
    Cgroups(#[from] CgroupError),
    /// The executable cannot be sealed.
    #[error("the shim's executable cannot be made")]
    Shims(#[from] bowline_runtime::Error),
    /// A running container belongs to a newer bowline.
    #[error("a running container cannot be taken over")]
    Adopt(#[from] AdoptError),
    /// A predefined network has no subnet.
    #[error("the default bridge has no subnet: {0}")]
    DefaultBridge(crate::error::Error),
}

struct Found {
    containers: Vec<ContainerRecord>,
    networks: Vec<NetworkRecord>,
    volumes: KnownVolumes,
}

impl Engine {
    /// Opens the roots of `settings`, whose lock this process holds.
    ///
    /// # Errors
    /// See [`OpenError`]; containers that run are not touched by a failure.
    pub async fn open(
        settings: Settings,
        auto: bool,
        revive: bool,
    ) -> Result<Arc<Self>, OpenError> {
        let roots = settings.roots.clone();
        verify_filesystem(roots.data())?;
        let store = Store::open(&roots.store(), &roots.reserve())?;
        let images = bowline_image::Store::open_with(
            &roots.images(),
            store.database(),
            image_settings(&settings),
        )?;
        images.sweep()?;
        let boot_id = boot_id();
        let containers: Vec<ContainerRecord> = store.all(Kind::Container)?;
        let found = Found {
            volumes: KnownVolumes::read(&store, &settings, &containers, &boot_id)?,
            containers,
            networks: with_predefined(&store)?,
        };
        crate::build::sweep(&settings);
        sweep(&settings, &found);
        let (bridges, publications) = needed(&found, &boot_id);
        let host = Host::open(network_config(&settings)?, &bridges, &publications)?;
        sweep_bridges(&host, &bridges, &settings.interface_prefix)?;
        let net = NetThread::start(host)
            .map_err(|error| OpenError::System("start the network thread", error))?;
        let networks = Networks::new(found.networks, &found.containers);
        for network in networks.all().into_values() {
            networks.set_up(
                &network.id,
                bridges.iter().any(|bridge| bridge.ifname == network.bridge),
            );
        }
        let builds = Builds::default();
        let builder = open_builder(&roots, &images, &builds)?;
        let engine = Arc::new(Self {
            settings,
            auto,
            revive,
            boot_id,
            images,
            shims: Arc::new(Shims::seal()?),
            hierarchies: Hierarchies::detect()?,
            net,
            events: crate::events::Bus::default(),
            containers: super::Registry::default(),
            networks,
            volumes: Volumes::new(found.volumes),
            names: super::Names::default(),
            execs: super::Execs::default(),
            activity: super::Activity::default(),
            leases: super::lease::Leases::default(),
            builder,
            builds,
            store,
        });
        engine.builds().run_in(&engine);
        engine.give_default_bridge_a_subnet().await?;
        engine.resume(found.containers).await?;
        engine.thaw_forgotten();
        engine.keep_rules_whole().await;
        engine.end_leases_nobody_renews();
        Ok(engine)
    }

    /// Containers stand still for a moment while their files are frozen or committed; an engine that died in it left
    /// them so.
    fn thaw_forgotten(&self) {
        let running = self.records().into_iter();
        for record in running.filter(|record| record.phase == Phase::Running) {
            let parent = self.cgroup_parent(&record);
            let opened = Cgroup::open(self.hierarchies(), &parent, &record.id);
            if let Err(error) = opened.and_then(|cgroup| cgroup.thaw()) {
                tracing::debug!(container = record.name, %error, "not thawed");
            }
        }
    }

    async fn keep_rules_whole(&self) {
        let watched = self.net().keep_whole().await;
        if let Err(error) = watched
            .map_err(|error| error.to_string())
            .and_then(|kept| kept.map_err(|error| crate::error::chain(&error)))
        {
            // Everything works without, as long as nobody flushes our rules.
            tracing::warn!(error, "changes of the nf_tables rules go unnoticed");
        }
    }

    async fn give_default_bridge_a_subnet(&self) -> Result<(), OpenError> {
        let Some(mut record) = self.networks().all().remove("bridge") else {
            return Ok(());
        };
        if !record.subnet.is_empty() {
            return Ok(());
        }
        let chosen = self.choose_missing(&mut record, false).await;
        chosen.map_err(OpenError::DefaultBridge)?;
        self.store().put(Kind::Network, &record.id, &record)?;
        self.networks().insert(record);
        Ok(())
    }

    /// Starts the actors; each finds out what became of its container.
    async fn resume(self: &Arc<Self>, records: Vec<ContainerRecord>) -> Result<(), OpenError> {
        let mut resumes = HashMap::new();
        for record in &records {
            // All looks before the first actor: an adoption that is refused must leave everything as it was.
            resumes.insert(record.id.clone(), self.look(record)?);
        }
        let mut adopting = Vec::new();
        let present = records.iter().filter(|record| {
            record.boot == self.boot_id
                && (record.phase.is_alive() || record.phase == Phase::Restarting)
        });
        self.names().expect(present);
        for record in records {
            let resume = resumes.remove(&record.id).unwrap_or(Resume::Idle);
            let id = record.id.clone();
            let removing = record.phase == Phase::Removing;
            if self.containers().reserve(&record.name, &id).is_err() {
                tracing::error!(container = record.name, "two containers of one name");
            }
            let adopts = matches!(resume, Resume::Adopted(_));
            let handle = container::spawn(self, record, resume);
            if adopts {
                adopting.push(handle.clone());
            }
            self.containers().insert(&id, handle.clone());
            if removing {
                tokio::spawn(async move {
                    let remove = |reply| container::Message::Remove {
                        force: true,
                        volumes: false,
                        reply,
                    };
                    if let Err(error) = handle.ask(remove).await {
                        tracing::warn!(%error, "removal not finished");
                    }
                });
            }
        }
        // The first answer already shows what is, not what was recorded by an engine that died.
        let settled = async {
            for handle in adopting {
                // Removed meanwhile, which is settled too.
                drop(handle.ask(container::Message::Settle).await);
            }
        };
        if tokio::time::timeout(SETTLE, settled).await.is_err() {
            tracing::warn!("some containers take longer than {SETTLE:?} to be taken over");
        }
        Ok(())
    }

    fn look(&self, record: &ContainerRecord) -> Result<Resume, OpenError> {
        let ran = record.phase.is_alive() || record.starting;
        if record.boot == self.boot_id {
            if ran {
                let run = self.settings().roots.container_run(&record.id);
                return Ok(Resume::Adopted(Box::new(adopt(&run)?)));
            }
            let waits = record.phase == Phase::Restarting;
            return Ok(if waits { Resume::Start } else { Resume::Idle });
        }
        if record.boot.is_empty() {
            return Ok(Resume::Idle);
        }
        // The machine was started anew: nothing of that run exists, and policies decide once.
        let policy = &record.host.restart_policy;
        let policy = Policy::parse(&policy.name, policy.maximum_retry_count).unwrap_or(Policy::No);
        let code = if ran { 255 } else { record.run.code };
        let ended = Adopted::Gone {
            identity: None,
            process: None,
        };
        Ok(
            match policy.starts_at_boot(record.stopped_by_hand, code, record.restarts) {
                true => Resume::Reboot,
                false if ran || record.phase == Phase::Restarting => {
                    Resume::Adopted(Box::new(ended))
                }
                false => Resume::Idle,
            },
        )
    }
}

/// A shim that does not answer, or whose words make no sense, must not keep the engine and all others from coming back:
/// it is ended, as if it had died, and its container lives on.
fn adopt(run: &Path) -> Result<Adopted, AdoptError> {
    let error = match Shim::adopt(run) {
        Err(error @ (AdoptError::Talk { .. } | AdoptError::Record { .. })) => error,
        found => return found,
    };
    tracing::error!(error = crate::error::chain(&error), "a shim is given up");
    match Shim::give_up(run) {
        Ok(()) => Shim::adopt(run),
        Err(error) => {
            tracing::error!(%error, path = %run.display(), "nobody knows what ran here");
            Ok(Adopted::Gone {
                identity: None,
                process: None,
            })
        }
    }
}

fn open_builder(
    roots: &Roots,
    images: &bowline_image::Store,
    builds: &Builds,
) -> Result<Builder, OpenError> {
    let settings = BuilderSettings::default();
    let builder = Builder::open(images.clone(), &roots.builder(), builds.runner(), settings)?;
    Ok(builder)
}

fn image_settings(settings: &Settings) -> bowline_image::Settings {
    let [http, https, none] = settings.proxies.clone();
    let set = |text: String| (!text.is_empty()).then_some(text);
    bowline_image::Settings {
        proxies: Proxies {
            http: set(http),
            https: set(https),
            none,
        },
        ..bowline_image::Settings::default()
    }
}

fn network_config(settings: &Settings) -> Result<bowline_network::Config, OpenError> {
    let pools = settings.subnet_pools.iter().map(|text| {
        let base: Ipv4Net = text.parse().map_err(|_| OpenError::Pool(text.clone()))?;
        Ok(Pool {
            base,
            size: base.prefix_len().max(24),
        })
    });
    let pools = pools.collect::<Result<Vec<_>, OpenError>>()?;
    let root_netns: OwnedFd = File::open("/proc/self/ns/net")
        .map_err(|error| OpenError::System("open the own network namespace", error))?
        .into();
    Ok(bowline_network::Config {
        prefix: settings.interface_prefix.clone(),
        table: settings.nft_table.clone(),
        pools: if pools.is_empty() {
            default_pools()
        } else {
            pools
        },
        ula: ula(settings),
        netns_dir: settings.roots.netns(),
        resolv_conf: "/etc/resolv.conf".into(),
        root_netns,
    })
}

/// A /48 of the machine's and these roots' own (RFC 4193).
fn ula(settings: &Settings) -> Ipv6Net {
    use sha2::{Digest as _, Sha256};
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let digest = Sha256::new()
        .chain_update(machine)
        .chain_update(settings.roots.tag().to_string());
    let digest = digest.finalize();
    let mut bytes = [0_u8; 16];
    bytes[0] = 0xfd;
    bytes[1..6].copy_from_slice(&digest[..5]);
    Ipv6Net::new_assert(bytes.into(), 48)
}

fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

fn with_predefined(store: &Store) -> Result<Vec<NetworkRecord>, OpenError> {
    let mut networks: Vec<NetworkRecord> = store.all(Kind::Network)?;
    for (name, driver) in PREDEFINED {
        if networks.iter().any(|network| network.name == name) {
            continue;
        }
        let record = NetworkRecord {
            id: ids::fresh().map_err(|error| OpenError::System("make an id", error))?,
            name: name.into(),
            created: clock::now(),
            driver: driver.into(),
            ..NetworkRecord::default()
        };
        store.put(Kind::Network, &record.id, &record)?;
        networks.push(record);
    }
    Ok(networks)
}

/// The bridges and publications of what runs now; the others are made when somebody joins.
fn needed(found: &Found, boot_id: &str) -> (Vec<Bridge>, Vec<Publication>) {
    let running: Vec<&ContainerRecord> = found
        .containers
        .iter()
        .filter(|record| record.boot == boot_id)
        .filter(|record| record.phase.is_alive() || record.phase == Phase::Restarting)
        .collect();
    let joined = |network: &NetworkRecord| {
        running
            .iter()
            .any(|record| record.endpoints.contains_key(&network.name))
    };
    let bridges = found
        .networks
        .iter()
        .filter(|network| joined(network))
        .filter_map(bridge);
    let publications = running
        .iter()
        .flat_map(|record| crate::launch::ports::publications(record));
    (bridges.collect(), publications.collect())
}

/// How long the first answer waits for containers to be taken over.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(10);

/// Whether a name has a record.
type Known<'k> = &'k dyn Fn(&str) -> bool;

/// Bridges that no running container needs: they are made again when somebody joins, and one whose network was being
/// removed when an engine died is nobody's.
fn sweep_bridges(host: &Host, bridges: &[Bridge], prefix: &str) -> Result<(), OpenError> {
    // The host's ends of containers' links; each goes with its namespace.
    let pair = format!("{prefix}v");
    for link in host.ledger()?.links {
        let needed = bridges.iter().any(|bridge| bridge.ifname == link);
        if !needed && !link.starts_with(&pair) {
            host.remove_bridge(&link)?;
        }
    }
    Ok(())
}

/// What has no committed record is nobody's: folders of containers and volumes, pinned namespaces.
fn sweep(settings: &Settings, found: &Found) {
    let roots = &settings.roots;
    let container = |name: &str| found.containers.iter().any(|record| record.id == name);
    let volume = |name: &str| {
        found
            .volumes
            .volumes
            .iter()
            .any(|record| record.name == name)
    };
    let kinds: [(PathBuf, Known<'_>); 3] = [
        (roots.data().join("containers"), &container),
        (roots.run().join("containers"), &container),
        (roots.data().join("volumes"), &volume),
    ];
    for (folder, known) in kinds {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !known(&name)
                && let Err(error) = std::fs::remove_dir_all(entry.path())
            {
                tracing::warn!(%error, path = %entry.path().display(), "not swept");
            }
        }
    }
    let Ok(pins) = std::fs::read_dir(roots.netns()) else {
        return;
    };
    for pin in pins.flatten() {
        let name = pin.file_name().to_string_lossy().into_owned();
        if !container(&name) {
            // A pin is a mount on a file; a plain file is left of one whose mount went with a reboot.
            let _ = nix::mount::umount2(&pin.path(), nix::mount::MntFlags::MNT_DETACH);
            drop(std::fs::remove_file(pin.path()));
        }
    }
}
