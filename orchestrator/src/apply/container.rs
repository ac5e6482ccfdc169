//! A service as the body that creates one of its containers.

use std::collections::BTreeMap;

use bowline_api::{Config, ContainerCreate, HealthConfig, NetworkingConfig};
use bowline_compose::model::{self, NetworkMode, Project, Service};
use bowline_plan::{Dependency, Hashes, Inherited, Target, labels};
use serde_json::Value;

use super::network::{common_labels, endpoint};
use super::{host, mounts, ports};
use crate::build::image_name;
use crate::ui::Outcome;

/// Everything that goes into a container beside its service.
#[derive(Debug)]
pub(super) struct Replica<'a> {
    pub(super) project: &'a Project,
    pub(super) service: &'a Service,
    pub(super) hashes: &'a Hashes,
    /// What the hash is taken of; null where nothing is compared later.
    pub(super) model: &'a Value,
    pub(super) depends_on: &'a [Dependency],
    pub(super) target: &'a Target,
    pub(super) replaces: Option<&'a str>,
    pub(super) inherit: &'a [Inherited],
    pub(super) joins: &'a BTreeMap<String, String>,
    /// Id of the image it is made from.
    pub(super) image: &'a str,
}

/// The body that creates a replica.
pub(super) fn replica(replica: &Replica<'_>) -> Outcome<ContainerCreate> {
    let Replica {
        project,
        service,
        target,
        ..
    } = replica;
    let mut create = template(project, service, replica.inherit, replica.joins)?;
    let all = &mut create.config.labels;
    all.extend(container_labels(replica));
    all.insert(labels::ONE_OFF.into(), "False".into());
    all.insert(labels::NUMBER.into(), target.number.to_string());
    all.extend(
        replica
            .replaces
            .map(|old| (labels::REPLACE.to_owned(), old.to_owned())),
    );
    let names = [target.name.as_str(), service.name.as_str()];
    network(&mut create, project, service, &names, replica.joins);
    Ok(create)
}

/// What `run` changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct OneOff {
    pub(crate) name: String,
    pub(crate) slug: String,
    pub(crate) command: Vec<String>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) environment: Vec<String>,
    pub(crate) cap_add: Vec<String>,
    pub(crate) cap_drop: Vec<String>,
    pub(crate) user: Option<String>,
    pub(crate) working_dir: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) volumes: Vec<String>,
    pub(crate) ports: Vec<model::Port>,
    pub(crate) service_ports: bool,
    pub(crate) use_aliases: bool,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) remove: bool,
}

/// The body that creates a container of `run`.
pub(crate) fn one_off(
    project: &Project,
    service: &Service,
    hashes: &Hashes,
    image: &str,
    joins: &BTreeMap<String, String>,
    wish: &OneOff,
) -> Outcome<ContainerCreate> {
    let mut service = service.clone();
    service.ports = match wish.service_ports {
        true => service.ports,
        false => wish.ports.clone(),
    };
    service.restart = None;
    if let Some(deploy) = &mut service.deploy {
        deploy.restart_policy = None;
    }
    service.tty = wish.tty;
    service.stdin_open = wish.stdin;
    if let Some(entrypoint) = &wish.entrypoint {
        service.entrypoint = Some(entrypoint.clone());
        service.command = None;
    }
    if !wish.command.is_empty() {
        service.command = Some(wish.command.clone());
    }
    service.user = wish.user.clone().or(service.user);
    service.working_dir = wish.working_dir.clone().or(service.working_dir);
    for entry in &wish.environment {
        let (name, value) = match entry.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (entry.as_str(), project.environment.get(entry).cloned()),
        };
        service.environment.insert(name.to_owned(), value);
    }
    service.cap_add.extend(wish.cap_add.iter().cloned());
    service.cap_drop.extend(wish.cap_drop.iter().cloned());
    let mut create = template(project, &service, &[], joins)?;
    create
        .host_config
        .binds
        .extend(wish.volumes.iter().cloned());
    create.host_config.auto_remove = wish.remove;
    create.config.attach_stdin = wish.stdin;
    create.config.stdin_once = wish.stdin;
    let target = Target {
        service: service.name.clone(),
        number: 0,
        name: wish.name.clone(),
        reference: wish.name.clone(),
    };
    let all = &mut create.config.labels;
    let (replaces, inherit) = (None, &[]);
    let depends_on = &[];
    all.extend(container_labels(&Replica {
        project,
        service: &service,
        hashes,
        model: &Value::Null,
        depends_on,
        target: &target,
        replaces,
        inherit,
        joins,
        image,
    }));
    all.insert(labels::ONE_OFF.into(), "True".into());
    all.insert(labels::SLUG.into(), wish.slug.clone());
    all.extend(wish.labels.iter().cloned());
    let own = [wish.name.as_str(), service.name.as_str()];
    // Without aliases nobody who asks for the service is sent to a container that is not one of it.
    let names = if wish.use_aliases {
        &own[..]
    } else {
        &own[..1]
    };
    if !wish.use_aliases {
        for attachment in service.networks.values_mut().flatten() {
            attachment.aliases.clear();
        }
    }
    network(&mut create, project, &service, names, joins);
    Ok(create)
}

/// What a container is made from that runs before a service starts.
#[derive(Debug)]
pub(super) struct BeforeStart<'a> {
    pub(super) project: &'a Project,
    /// Its own attributes.
    pub(super) service: &'a Service,
    /// The service it is for, whose networks it joins.
    pub(super) model_of: &'a Service,
    pub(super) hashes: &'a Hashes,
    /// Id of its image.
    pub(super) image: &'a str,
    pub(super) name: &'a str,
    /// The container whose volumes it shares.
    pub(super) shares: &'a str,
    pub(super) labels: BTreeMap<String, String>,
}

/// The body that creates it: no replica, no ports, no name but its own.
pub(super) fn before_start(wish: &BeforeStart<'_>) -> Outcome<ContainerCreate> {
    let mut service = wish.service.clone();
    service.restart = None;
    service.ports = Vec::new();
    service.networks.clone_from(&wish.model_of.networks);
    service.network_mode.clone_from(&wish.model_of.network_mode);
    for attachment in service.networks.values_mut().flatten() {
        attachment.aliases.clear();
        // Those belong to the service's own containers.
        attachment.ipv4_address = None;
        attachment.ipv6_address = None;
        attachment.mac_address = None;
    }
    let joins = BTreeMap::new();
    let mut create = template(wish.project, &service, &[], &joins)?;
    create.host_config.volumes_from.push(wish.shares.to_owned());
    create.host_config.auto_remove = false;
    let all = &mut create.config.labels;
    all.extend(common_labels(&wish.project.name, wish.hashes, &Value::Null));
    all.insert(labels::SERVICE.into(), service.name.clone());
    all.insert(labels::IMAGE.into(), wish.image.to_owned());
    // Compose leaves these out where it counts replicas.
    all.insert(labels::ONE_OFF.into(), "True".into());
    all.extend(wish.labels.clone());
    network(&mut create, wish.project, &service, &[wish.name], &joins);
    Ok(create)
}

fn container_labels(replica: &Replica<'_>) -> BTreeMap<String, String> {
    let Replica {
        project,
        service,
        hashes,
        ..
    } = replica;
    let mut all = common_labels(&project.name, hashes, replica.model);
    all.insert(labels::SERVICE.into(), service.name.clone());
    all.insert(labels::IMAGE.into(), replica.image.to_owned());
    all.insert(
        labels::DEPENDS_ON.into(),
        labels::print_depends_on(replica.depends_on),
    );
    all.insert(labels::WORKING_DIR.into(), project.working_dir.clone());
    all.insert(labels::CONFIG_FILES.into(), project.files.join(","));
    if !project.env_files.is_empty() {
        all.insert(labels::ENVIRONMENT_FILE.into(), project.env_files.join(","));
    }
    all
}

fn template(
    project: &Project,
    service: &Service,
    inherit: &[Inherited],
    joins: &BTreeMap<String, String>,
) -> Outcome<ContainerCreate> {
    let mut host_config = host::config(service, joins);
    mounts::fill(&mut host_config, project, service, inherit, joins)?;
    Ok(ContainerCreate {
        config: Config {
            image: image_name(project, service),
            ..config(service)
        },
        host_config,
        networking_config: NetworkingConfig::default(),
    })
}

fn config(service: &Service) -> Config {
    let variables = service.environment.iter();
    let set = variables.filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
    Config {
        hostname: service.hostname.clone().unwrap_or_default(),
        domainname: service.domainname.clone().unwrap_or_default(),
        user: service.user.clone().unwrap_or_default(),
        attach_stdout: true,
        attach_stderr: true,
        exposed_ports: ports::exposed(&service.expose, &service.ports),
        tty: service.tty,
        open_stdin: service.stdin_open,
        env: set.collect(),
        cmd: service.command.clone().map(Into::into),
        entrypoint: service.entrypoint.clone().map(Into::into),
        healthcheck: service.healthcheck.as_ref().map(health),
        working_dir: service.working_dir.clone().unwrap_or_default(),
        labels: service.labels.clone(),
        stop_signal: service.stop_signal.clone().unwrap_or_default(),
        stop_timeout: service.stop_grace_period.map(whole_seconds),
        ..Config::default()
    }
}

/// The API counts whole seconds; a grace period must not become shorter.
fn whole_seconds(period: model::Duration) -> i64 {
    let second = 1_000_000_000;
    period.nanos() / second + i64::from(period.nanos() % second > 0)
}

fn health(check: &model::Healthcheck) -> HealthConfig {
    let nanos = |duration: Option<model::Duration>| duration.map_or(0, model::Duration::nanos);
    HealthConfig {
        test: match &check.test {
            _ if check.disable => vec!["NONE".into()],
            Some(probe) => probe.to_list(),
            // An empty list is the image's own test.
            None => Vec::new(),
        },
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
        retries: check
            .retries
            .map_or(0, |count| i64::try_from(count).unwrap_or(i64::MAX)),
    }
}

fn network(
    create: &mut ContainerCreate,
    project: &Project,
    service: &Service,
    names: &[&str],
    joins: &BTreeMap<String, String>,
) {
    let mode = &mut create.host_config.network_mode;
    *mode = match &service.network_mode {
        Some(NetworkMode::Service(parent)) => {
            format!("container:{}", joins.get(parent).unwrap_or(parent))
        }
        Some(other) => other.to_string(),
        None => match primary(service) {
            Some(key) => project
                .networks
                .get(key)
                .map_or_else(|| key.into(), |n| n.name.clone()),
            None => "none".into(),
        },
    };
    if service.network_mode.is_some() {
        return;
    }
    let links = links(project, service);
    let main = primary(service);
    let endpoints = service.networks.iter().filter_map(|(key, wish)| {
        let network = project.networks.get(key)?;
        let mut endpoint = endpoint(wish.as_ref(), names, &links);
        if let Some(address) = &service.mac_address
            && main == Some(key.as_str())
            && endpoint.mac_address.is_empty()
        {
            endpoint.mac_address.clone_from(address);
        }
        Some((network.name.clone(), Some(endpoint)))
    });
    create.networking_config.endpoints_config = endpoints.collect();
}

/// The network with the highest priority, the first by name among equals.
fn primary(service: &Service) -> Option<&str> {
    let priority = |wish: &Option<model::Attachment>| wish.as_ref().and_then(|w| w.priority);
    let ranked = service
        .networks
        .iter()
        .map(|(key, wish)| (priority(wish).unwrap_or(0), key));
    ranked
        .min_by_key(|(priority, key)| (-priority, *key))
        .map(|(_, key)| key.as_str())
}

/// `container:alias` for the first container of each linked service.
fn links(project: &Project, service: &Service) -> Vec<String> {
    let mut links = Vec::new();
    for link in &service.links {
        let (name, alias) = link.split_once(':').unwrap_or((link, link));
        let fixed = project
            .services
            .get(name)
            .and_then(|linked| linked.container_name.clone());
        let container = fixed.unwrap_or_else(|| format!("{}-{name}-1", project.name));
        links.push(format!("{container}:{alias}"));
    }
    // Those are containers already.
    links.extend(service.external_links.iter().cloned());
    links
}

#[cfg(test)]
mod tests {
    use bowline_compose::load::{Env, MemoryFiles, Options, load};

    use super::*;

    fn project(text: &str) -> Project {
        let files = MemoryFiles::default()
            .with("/shop/compose.yaml", text)
            .with("/shop/app.conf", "x");
        let options = Options {
            cwd: "/shop".into(),
            ..Options::default()
        };
        let loaded = load(&files, &Env::new(), &options);
        loaded.unwrap_or_else(|faults| panic!("{faults}")).project
    }

    fn create(project: &Project, inherit: &[Inherited]) -> ContainerCreate {
        let target = Target {
            service: "web".into(),
            number: 2,
            name: "shop-web-2".into(),
            reference: "0123_shop-web-2".into(),
        };
        let hashes = Hashes {
            own: Some("own".into()),
            compose: Some("theirs".into()),
        };
        let depends_on = labels::parse_depends_on("db:service_healthy:true");
        replica(&Replica {
            project,
            service: &project.services["web"],
            hashes: &hashes,
            model: &Value::Null,
            depends_on: &depends_on,
            target: &target,
            replaces: Some("shop-web-2"),
            inherit,
            joins: &BTreeMap::from([("db".to_owned(), "shop-db-1".to_owned())]),
            image: "sha256:1",
        })
        .unwrap()
    }

    #[test]
    fn a_service_becomes_a_body() {
        let project = project(
            "name: shop\nservices:\n  web:\n    image: nginx\n    command: run it\n    \
             environment: {A: '1', B: }\n    ports: ['127.0.0.1:8080:80']\n    expose: ['90']\n    \
             restart: on-failure:3\n    mem_limit: 50m\n    cpus: 0.5\n    stop_grace_period: 1500ms\n    \
             extra_hosts: ['a=1.2.3.4']\n    networks: {edge: {aliases: [www]}, back: {priority: 5}}\n    \
             healthcheck: {test: [CMD, ok], interval: 2s}\n    ulimits: {nofile: 9}\n    links: ['db:sql']\n  \
             db: {image: pg, networks: [back]}\nnetworks: {edge: {}, back: {}}\n",
        );
        let ContainerCreate {
            config,
            host_config: host,
            networking_config,
        } = create(&project, &[]);
        assert_eq!(config.cmd.unwrap().0, ["run", "it"]);
        assert_eq!(config.entrypoint, None);
        assert_eq!(config.env, ["A=1"]);
        assert_eq!(config.stop_timeout, Some(2));
        assert_eq!(
            config.exposed_ports.keys().collect::<Vec<_>>(),
            ["80/tcp", "90/tcp"]
        );
        assert_eq!(config.healthcheck.unwrap().interval, 2_000_000_000);
        assert_eq!(host.restart_policy.maximum_retry_count, 3);
        assert_eq!((host.memory, host.nano_cpus), (50 << 20, 500_000_000));
        assert_eq!(host.extra_hosts, ["a:1.2.3.4"]);
        assert_eq!(host.ulimits[0].hard, 9);
        assert_eq!(host.network_mode, "shop_back");
        let edge = networking_config.endpoints_config["shop_edge"]
            .clone()
            .unwrap();
        assert_eq!(edge.aliases.unwrap(), ["shop-web-2", "web", "www"]);
        assert_eq!(edge.links.unwrap(), ["shop-db-1:sql"]);
        let expected = [
            (labels::PROJECT, "shop"),
            (labels::SERVICE, "web"),
            (labels::NUMBER, "2"),
            (labels::ONE_OFF, "False"),
            (labels::CONFIG_HASH, "theirs"),
            (labels::OWN_HASH, "own"),
            (labels::IMAGE, "sha256:1"),
            (labels::DEPENDS_ON, "db:service_healthy:true"),
            (labels::REPLACE, "shop-web-2"),
            (labels::WORKING_DIR, "/shop"),
            (labels::CONFIG_FILES, "/shop/compose.yaml"),
        ];
        for (label, value) in expected {
            assert_eq!(config.labels[label], value, "{label}");
        }
    }

    #[test]
    fn mounts_take_the_form_that_says_all() {
        let project = project(
            "name: shop\nservices:\n  web:\n    image: nginx\n    configs: [app]\n    \
             secrets: [{source: key, target: k}]\n    tmpfs: ['/t:size=1m']\n    volumes:\n      \
             - data:/data:ro\n      - ./src:/src\n      - /anonymous\n      \
             - {type: bind, source: ./must, target: /must, bind: {create_host_path: false}}\n\
             volumes: {data: {}}\nconfigs: {app: {file: ./app.conf}}\nsecrets: {key: {file: ./app.conf}}\n",
        );
        let inherit =
            [("/anonymous", "a"), ("/from-image", "b")].map(|(target, volume)| Inherited {
                volume: volume.into(),
                target: target.into(),
            });
        let host = create(&project, &inherit).host_config;
        assert_eq!(host.binds, ["shop_data:/data:ro", "/shop/src:/src:rw"]);
        assert_eq!(host.tmpfs["/t"], "size=1m");
        let shown: Vec<(&str, &str, &str, bool)> = host
            .mounts
            .iter()
            .map(|m| (&*m.kind, &*m.source, &*m.target, m.read_only))
            .collect();
        assert_eq!(
            shown,
            [
                ("volume", "a", "/anonymous", false),
                ("bind", "/shop/must", "/must", false),
                ("volume", "b", "/from-image", false),
                ("bind", "/shop/app.conf", "/app", true),
                ("bind", "/shop/app.conf", "/run/secrets/k", true),
            ]
        );
    }

    #[test]
    fn a_shared_network_names_the_container() {
        let project = project(
            "name: shop\nservices:\n  web: {image: nginx, network_mode: 'service:db'}\n  db: {image: pg}\n",
        );
        let create = create(&project, &[]);
        assert_eq!(create.host_config.network_mode, "container:shop-db-1");
        assert!(create.networking_config.endpoints_config.is_empty());
    }

    #[test]
    fn a_one_off_container_is_not_the_service() {
        let project = project(
            "name: shop\nservices:\n  web: {image: nginx, command: serve, restart: always, ports: ['80:80'],\n    \
             networks: {default: {aliases: [www]}}}\n",
        );
        let wish = OneOff {
            name: "shop-web-run-1".into(),
            slug: "1".into(),
            command: vec!["sh".into()],
            environment: vec!["A=1".into()],
            remove: true,
            ..OneOff::default()
        };
        let service = &project.services["web"];
        let made = one_off(
            &project,
            service,
            &Hashes::default(),
            "sha256:1",
            &BTreeMap::new(),
            &wish,
        );
        let made = made.unwrap();
        assert_eq!(made.config.cmd.unwrap().0, ["sh"]);
        assert_eq!(made.config.env, ["A=1"]);
        assert_eq!(made.config.labels[labels::ONE_OFF], "True");
        assert!(!made.config.labels.contains_key(labels::NUMBER));
        assert!(made.host_config.port_bindings.is_empty() && made.host_config.auto_remove);
        assert_eq!(made.host_config.restart_policy.name, "no");
        let endpoint = made.networking_config.endpoints_config["shop_default"]
            .clone()
            .unwrap();
        assert_eq!(endpoint.aliases.unwrap(), ["shop-web-run-1"]);
    }
}
