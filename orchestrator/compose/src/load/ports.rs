//! Host ports wanted twice inside one project.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::model::{Port, Project};

/// One diagnostic for each port that cannot be had, with the service that wants it.
pub(crate) fn collisions(project: &Project) -> Vec<(String, Diagnostic)> {
    let mut faults = Vec::new();
    let mut taken: HashMap<u16, Vec<Wanted<'_>>> = HashMap::new();
    for (name, service) in &project.services {
        if service.replicas() == 0 {
            continue;
        }
        for (index, port) in service.ports.iter().enumerate() {
            let Some(number) = fixed(port) else { continue };
            let others = taken.entry(number).or_default();
            if service.replicas() > 1 {
                let fault = replicas(project, name, index, port, service.replicas());
                faults.push((name.clone(), fault));
            } else if let Some(other) = others.iter().find(|(_, _, other)| collide(port, other)) {
                let fault = collision(project, (name, index, port), *other);
                faults.push((name.clone(), fault));
            }
            others.push((name, index, port));
        }
    }
    faults
}

/// The certain port it wants, as opposed to any of a range or any at all.
fn fixed(port: &Port) -> Option<u16> {
    port.published
        .filter(|(low, high)| low == high && *low != 0)
        .map(|(low, _)| low)
}

fn collide(left: &Port, right: &Port) -> bool {
    left.published == right.published
        && left.protocol == right.protocol
        && addresses_overlap(left.host_ip.as_deref(), right.host_ip.as_deref())
}

/// No address is every address of both families; `0.0.0.0` and `::` are every one of their own.
fn addresses_overlap(left: Option<&str>, right: Option<&str>) -> bool {
    let parse = |text: Option<&str>| text.and_then(|text| text.parse::<IpAddr>().ok());
    match (parse(left), parse(right)) {
        (Some(left), Some(right)) => {
            left == right
                || left.is_ipv4() == right.is_ipv4()
                    && (left.is_unspecified() || right.is_unspecified())
        }
        _ => true,
    }
}

fn shown(port: &Port) -> String {
    let number = port.published.map_or(0, |(low, _)| low);
    match &port.host_ip {
        Some(ip) if ip.contains(':') => format!("[{ip}]:{number}/{}", port.protocol),
        Some(ip) => format!("{ip}:{number}/{}", port.protocol),
        None => format!("{number}/{}", port.protocol),
    }
}

type Wanted<'a> = (&'a str, usize, &'a Port);

fn collision(project: &Project, wanted: Wanted<'_>, taken: Wanted<'_>) -> Diagnostic {
    let span =
        |(name, index, _): Wanted<'_>| project.span(&format!("services/{name}/ports/{index}"));
    let message = if wanted.0 == taken.0 {
        format!(
            "service `{}` publishes port {} twice",
            wanted.0,
            shown(wanted.2)
        )
    } else {
        format!(
            "services `{}` and `{}` both publish port {}",
            taken.0,
            wanted.0,
            shown(wanted.2)
        )
    };
    Diagnostic::error("compose::port-collision", message)
        .at(span(wanted), "wanted again here")
        .context(span(taken), "taken here")
        .help("change the left side of one of them")
}

fn replicas(project: &Project, name: &str, index: usize, port: &Port, count: u32) -> Diagnostic {
    let message = format!(
        "{count} containers of service `{name}` cannot all publish port {}",
        shown(port)
    );
    Diagnostic::error("compose::port-collision", message)
        .at(project.span(&format!("services/{name}/ports/{index}")), "")
        .help(format!(
            "give a range of at least {count} ports, or no host port at all"
        ))
}
