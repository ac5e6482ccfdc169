//! A second copy of a project beside the first: own names, networks, volumes, and free ports in place
//! of fixed ones.
//!
//! What is `external` is shared, and so are bind mounts; images that are built keep the original's
//! names, since they are made from the same folder.

use std::collections::BTreeMap;
use std::io::Read as _;

use bowline_compose::model::{Project, Service};
use bowline_plan::labels;

use super::context::Context;
use super::prepare::Making;
use crate::build::image_name;
use crate::ui::{Failure, Outcome, WithContext as _};

/// A copy that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Copy {
    /// The project it is a copy of.
    pub(super) original: String,
    /// Publish nothing.
    pub(super) no_ports: bool,
    /// The lease that it ends with.
    pub(super) lease: Option<String>,
    /// Images that are built, by service, as the original names them.
    images: BTreeMap<String, String>,
}

/// The context under whose name the copy lives; `None` where none was asked for.
pub(super) fn enter(context: &Context, making: &Making) -> Outcome<Option<(Context, Copy)>> {
    let Some(name) = &making.isolated else {
        return Ok(None);
    };
    let original = context.quiet_project(&making.services)?;
    let suffix = match name.is_empty() {
        true => random()?,
        false => name.clone(),
    };
    let name = format!("{}-{suffix}", original.name);
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if !name.chars().all(fits) {
        return Err(Failure::usage(format!(
            "`--isolated={suffix}`: a name has lower-case letters, digits, `-` and `_` only"
        )));
    }
    let mut globals = context.globals.clone();
    globals.project_name = Some(name);
    let inside = Context::new(globals, context.environment.clone(), context.ui)?;
    let images = original.services.iter();
    let images = images.map(|(name, service)| (name.clone(), image_name(&original, service)));
    let copy = Copy {
        images: images.collect(),
        original: original.name.clone(),
        no_ports: making.no_ports,
        lease: making.lease.clone(),
    };
    Ok(Some((inside, copy)))
}

/// Four letters: enough that copies of one project do not meet.
pub(super) fn random() -> Outcome<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 4];
    let mut source = std::fs::File::open("/dev/urandom").during("cannot open /dev/urandom")?;
    source
        .read_exact(&mut bytes)
        .during("cannot read /dev/urandom")?;
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    Ok(bytes.iter().map(letter).collect())
}

/// Makes the loaded project the copy.
pub(super) fn isolate(project: &mut Project, copy: &Copy) {
    let name = project.name.clone();
    let services = project.services.values_mut();
    for service in services.chain(project.disabled.values_mut()) {
        isolate_service(service, copy);
    }
    for (key, network) in &mut project.networks {
        if network.external {
            continue;
        }
        network.name = format!("{name}_{key}");
        // Fixed subnets and bridges belong to the original.
        network.ipam.config.clear();
        network.driver_opts.remove("com.docker.network.bridge.name");
        lease(&mut network.labels, copy);
    }
    for (key, volume) in &mut project.volumes {
        if !volume.external {
            volume.name = format!("{name}_{key}");
            lease(&mut volume.labels, copy);
        }
    }
}

fn isolate_service(service: &mut Service, copy: &Copy) {
    service.container_name = None;
    if let Some(image) = copy.images.get(&service.name) {
        service.image.clone_from(image);
    }
    if copy.no_ports {
        service.ports.clear();
    }
    for port in &mut service.ports {
        port.published = None;
    }
    // Several ports of the host for one of the container have become the same wish.
    let mut seen = Vec::new();
    service.ports.retain(|port| {
        let wish = (port.target, port.protocol, port.host_ip.clone());
        let new = !seen.contains(&wish);
        seen.push(wish);
        new
    });
    for attachment in service.networks.values_mut().flatten() {
        attachment.ipv4_address = None;
        attachment.ipv6_address = None;
        attachment.mac_address = None;
    }
    let original = copy.original.clone();
    service.labels.insert(labels::ISOLATED.into(), original);
    lease(&mut service.labels, copy);
}

fn lease(all: &mut BTreeMap<String, String>, copy: &Copy) {
    let lease = copy.lease.clone();
    all.extend(lease.map(|lease| (labels::LEASE.to_owned(), lease)));
}

#[cfg(test)]
mod tests {
    use bowline_compose::load::{Env, MemoryFiles, Options, load};

    use super::*;

    #[test]
    fn a_copy_shares_nothing_but_what_is_external() {
        let files = MemoryFiles::default().with(
            "/shop/compose.yaml",
            "services:\n  web:\n    image: nginx\n    container_name: web\n    ports: ['8080:80', '9090:80', \
             '127.0.0.1:53:53/udp']\n    networks: {front: {ipv4_address: 10.1.1.2}, outside: {}}\n    \
             volumes: [data:/data, theirs:/theirs]\n\
             networks:\n  front: {name: fixed, ipam: {config: [{subnet: 10.1.1.0/24}]}}\n  \
             outside: {external: true, name: out}\n\
             volumes: {data: {name: mine}, theirs: {external: true}}\n",
        );
        let options = Options {
            cwd: "/shop".into(),
            project_name: Some("shop-x".into()),
            ..Options::default()
        };
        let loaded = load(&files, &Env::new(), &options);
        let mut project = loaded.unwrap_or_else(|faults| panic!("{faults}")).project;
        let copy = Copy {
            original: "shop".into(),
            lease: Some("shop-x".into()),
            ..Copy::default()
        };
        isolate(&mut project, &copy);
        let web = &project.services["web"];
        assert_eq!(web.container_name, None);
        let ports: Vec<_> = web.ports.iter().map(|p| (p.target, p.published)).collect();
        assert_eq!(ports, [(80, None), (53, None)]);
        assert_eq!(web.labels[labels::ISOLATED], "shop");
        let front = web.networks["front"].as_ref().unwrap();
        assert_eq!(front.ipv4_address, None);
        assert_eq!(project.networks["front"].name, "shop-x_front");
        assert!(project.networks["front"].ipam.config.is_empty());
        assert_eq!(project.networks["front"].labels[labels::LEASE], "shop-x");
        assert_eq!(project.networks["outside"].name, "out");
        assert_eq!(project.volumes["data"].name, "shop-x_data");
        assert_eq!(project.volumes["theirs"].name, "theirs");
        let copy = Copy {
            no_ports: true,
            ..copy
        };
        isolate(&mut project, &copy);
        assert!(project.services["web"].ports.is_empty());
    }
}
