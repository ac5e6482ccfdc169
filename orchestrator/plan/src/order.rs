//! Order of services: dependencies first, what a selection brings along, and cycles.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graphmap::DiGraphMap;

use crate::desired::{Dependency, Desired};
use crate::error::{PlanError, Result};
use crate::observed::Observed;

/// For each service what it depends on; the one shape that orders both a project and mere labels.
pub(crate) type Needs<'a> = BTreeMap<&'a str, Vec<&'a Dependency>>;

/// The needs that a project declares.
pub(crate) fn declared(desired: &Desired) -> Needs<'_> {
    let services = desired.services.iter();
    services
        .map(|(name, service)| (name.as_str(), service.depends_on.iter().collect()))
        .collect()
}

/// The needs that the labels of containers declare, for services the file does not know.
pub(crate) fn with_labels<'a>(mut needs: Needs<'a>, observed: &'a Observed) -> Needs<'a> {
    // Containers of `run` and of hooks need nothing themselves, but are stopped in their service's turn.
    let (replicas, others): (Vec<_>, Vec<_>) =
        observed.containers.iter().partition(|c| c.is_replica());
    for container in replicas.into_iter().chain(others) {
        needs
            .entry(&container.service)
            .or_insert_with(|| container.depends_on.iter().collect());
    }
    needs
}

/// All services, each after what it depends on, otherwise in the order of `names`.
pub(crate) fn sorted<'a>(needs: &Needs<'a>, names: &[&'a str]) -> Result<Vec<&'a str>> {
    let graph = graph(needs);
    if toposort(&graph, None).is_err() {
        return Err(cycle(&graph));
    }
    let mut done = Vec::new();
    for name in names {
        visit(needs, name, &mut done);
    }
    done.retain(|name| names.contains(name));
    Ok(done)
}

fn visit<'a>(needs: &Needs<'a>, name: &'a str, done: &mut Vec<&'a str>) {
    if done.contains(&name) {
        return;
    }
    for need in needs.get(name).into_iter().flatten() {
        visit(needs, &need.service, done);
    }
    done.push(name);
}

fn graph<'a>(needs: &Needs<'a>) -> DiGraphMap<&'a str, ()> {
    let edges = needs
        .iter()
        .flat_map(|(name, list)| list.iter().map(|need| (*name, need.service.as_str())));
    DiGraphMap::from_edges(edges)
}

fn cycle(graph: &DiGraphMap<&str, ()>) -> PlanError {
    let knot = tarjan_scc(graph)
        .into_iter()
        .find(|knot| knot.len() > 1 || knot.iter().any(|node| graph.contains_edge(node, node)))
        .unwrap_or_default();
    let start = knot.iter().min().copied().unwrap_or_default();
    let mut path = vec![start];
    let mut here = start;
    // Every node of a strongly connected component has a way on inside it, so this comes round.
    while let Some(next) = graph
        .neighbors(here)
        .filter(|next| knot.contains(next))
        .min()
    {
        path.push(next);
        if path[..path.len() - 1].contains(&next) {
            break;
        }
        here = next;
    }
    let last = path.last().copied().unwrap_or_default();
    let first = path.iter().position(|node| *node == last).unwrap_or(0);
    PlanError::Cycle {
        path: path[first..].iter().map(ToString::to_string).collect(),
    }
}

/// The named services and everything they need; all services if none is named.
///
/// # Errors
/// A name the project does not have.
pub fn closure(desired: &Desired, named: &[String]) -> Result<BTreeSet<String>> {
    check_names(desired, named)?;
    if named.is_empty() {
        return Ok(desired.services.keys().cloned().collect());
    }
    Ok(reach(named, |name| {
        let service = desired.services.get(name);
        let needs = service.into_iter().flat_map(|service| &service.depends_on);
        let known = needs.filter(|need| desired.services.contains_key(&need.service));
        known.map(|need| need.service.clone()).collect()
    }))
}

/// The named services and everything that needs them.
///
/// # Errors
/// A name that neither the file nor a container has.
pub fn dependents_closure(
    desired: &Desired,
    observed: &Observed,
    named: &[String],
) -> Result<BTreeSet<String>> {
    let needs = with_labels(declared(desired), observed);
    for name in named {
        if !needs.contains_key(name.as_str()) {
            return Err(no_such_service(name, needs.keys().copied()));
        }
    }
    Ok(reach(named, |name| {
        let dependents = needs
            .iter()
            .filter(|(_, list)| list.iter().any(|n| n.service == name));
        dependents
            .map(|(dependent, _)| (*dependent).to_owned())
            .collect()
    }))
}

fn reach(from: &[String], next: impl Fn(&str) -> Vec<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<String> = from.to_vec();
    while let Some(name) = todo.pop() {
        if found.insert(name.clone()) {
            todo.extend(next(&name));
        }
    }
    found
}

/// Every name must be a service of the file, active or not.
pub(crate) fn check_names(desired: &Desired, named: &[String]) -> Result<()> {
    match named
        .iter()
        .find(|name| !desired.services.contains_key(*name))
    {
        Some(name) => Err(no_such_service(
            name,
            desired.services.keys().map(String::as_str),
        )),
        None => Ok(()),
    }
}

pub(crate) fn no_such_service<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> PlanError {
    let similar = known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min();
    PlanError::NoSuchService {
        service: name.into(),
        similar: similar.map(|(_, name)| name.into()),
    }
}

/// Edits that turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
