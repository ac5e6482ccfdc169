//! What becomes of each replica, decided from the snapshots alone.

use std::collections::BTreeMap;

use crate::changes;
use crate::desired::Service;
use crate::observed::{Container, State};

use super::{Builder, Recreate};

/// A container that exists or shall exist.
#[derive(Clone, Debug)]
pub(super) struct Slot<'a> {
    pub(super) number: u32,
    /// Its name when the plan is done.
    pub(super) name: String,
    pub(super) old: Option<&'a Container>,
    pub(super) verdict: Verdict,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays as it is, though it may have to be started.
    Keep,
    /// It stays, but bears the temporary name of a recreation that was cut short.
    Rename,
    /// It is new.
    Create(String),
    /// A successor takes its place.
    Recreate(String),
    /// It goes.
    Remove(String),
}

impl Verdict {
    /// Whether the container that is there afterwards is another one than before.
    pub(super) fn renews(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Recreate(_))
    }
}

/// The verdicts so far, by service.
type Judged<'a> = BTreeMap<&'a str, Vec<Slot<'a>>>;

pub(super) fn slots<'a>(builder: &Builder<'a>) -> Judged<'a> {
    let mut all = Judged::new();
    for &service in &builder.order {
        // Dependencies come first, so a parent's verdicts are there when its child is judged.
        let slots = match builder.spares(service) {
            true => Vec::new(),
            false => of_service(builder, service, &all),
        };
        all.insert(service, slots);
    }
    all
}

fn of_service<'a>(builder: &Builder<'a>, name: &'a str, judged: &Judged<'a>) -> Vec<Slot<'a>> {
    let service = builder.service(name);
    let (leftovers, mut replicas) = part_leftovers(builder.observed.replicas(name));
    let judge = |container: &Container| divergence(builder, name, container, judged);
    // Those that would be replaced anyway are the first to go when there are too many.
    replicas.sort_by_key(|container| (judge(container).is_some(), container.number));
    let scale = usize::try_from(service.scale).unwrap_or(usize::MAX);
    let surplus = replicas.split_off(scale.min(replicas.len()));
    replicas.sort_by_key(|container| container.number);

    let mut slots: Vec<Slot<'a>> = Vec::new();
    for container in leftovers {
        slots.push(removal(
            container,
            "left over from an interrupted recreation",
        ));
    }
    for container in surplus {
        slots.push(removal(container, &format!("beyond the scale of {scale}")));
    }
    let missing = scale - replicas.len();
    let highest = slots
        .iter()
        .map(|slot| slot.number)
        .chain(replicas.iter().map(|c| c.number));
    let highest = highest.max().unwrap_or(0);
    for container in replicas {
        slots.push(staying(builder, name, container, judge(container)));
    }
    for number in (highest + 1..).take(missing) {
        slots.push(Slot {
            number,
            name: builder.desired.container_name(name, number),
            old: None,
            verdict: Verdict::Create("not found".into()),
        });
    }
    slots
}

/// A successor whose predecessor still exists was made by a recreation that was cut short. Where the
/// predecessor is gone, the successor is the replica.
fn part_leftovers(replicas: Vec<&Container>) -> (Vec<&Container>, Vec<&Container>) {
    let names: Vec<&str> = replicas
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    let (leftovers, replicas) = replicas.iter().partition(|container| {
        container
            .replaces
            .as_deref()
            .is_some_and(|old| old != container.name && names.contains(&old))
    });
    (leftovers, replicas)
}

fn removal<'a>(container: &'a Container, cause: &str) -> Slot<'a> {
    Slot {
        number: container.number,
        name: container.name.clone(),
        old: Some(container),
        verdict: Verdict::Remove(cause.into()),
    }
}

fn staying<'a>(
    builder: &Builder<'a>,
    service: &str,
    container: &'a Container,
    divergence: Option<String>,
) -> Slot<'a> {
    let name = builder.desired.container_name(service, container.number);
    let temporary = container.replaces.is_some()
        && container.name != name
        && container.name.ends_with(&format!("_{name}"));
    let verdict = match divergence {
        Some(cause) => Verdict::Recreate(cause),
        None if temporary => Verdict::Rename,
        None => Verdict::Keep,
    };
    Slot {
        number: container.number,
        name,
        old: Some(container),
        verdict,
    }
}

/// Why a container must be replaced, if it must.
fn divergence(
    builder: &Builder<'_>,
    name: &str,
    container: &Container,
    judged: &Judged<'_>,
) -> Option<String> {
    match builder.recreate(name) {
        Recreate::Never => None,
        Recreate::Force => Some("recreation forced".into()),
        Recreate::Diverged => {
            let service = builder.service(name);
            lost_parent(builder, container, judged)
                .or_else(|| configuration(builder, service, container))
                .or_else(|| attachments(builder, service, container))
        }
    }
}

fn configuration(
    builder: &Builder<'_>,
    service: &Service,
    container: &Container,
) -> Option<String> {
    if container.state == State::Dead {
        return Some("its removal had failed".into());
    }
    if !container.hashes.matches(&service.hashes) {
        let root = format!("services/{}", container.service);
        let recorded = container.model.as_deref();
        let cause = changes::cause(&root, recorded, &service.model, builder.place);
        return Some(cause);
    }
    let local = service.image.local.as_ref()?;
    (*local != container.image).then(|| {
        let (old, new) = (short(&container.image), short(local));
        format!("image `{}` changed {old} → {new}", service.image.reference)
    })
}

/// As much of a digest as tells two apart.
fn short(digest: &str) -> String {
    match digest.char_indices().nth("sha256:".len() + 12) {
        Some((end, _)) => format!("{}…", &digest[..end]),
        None => digest.into(),
    }
}

/// A container in the namespaces of another cannot outlive it.
fn lost_parent(
    builder: &Builder<'_>,
    container: &Container,
    judged: &Judged<'_>,
) -> Option<String> {
    let parents = &builder.service(&container.service).joins;
    if parents.is_empty() {
        return None;
    }
    // Lists tell whose network is shared; of other namespaces and of volumes only the file knows.
    let renewed = parents.iter().find(|parent| {
        let slots = judged.get(parent.as_str()).into_iter().flatten();
        let mut staying = slots.filter(|slot| !matches!(slot.verdict, Verdict::Remove(_)));
        staying.next().is_some_and(|first| first.verdict.renews())
    });
    if let Some(parent) = renewed {
        return Some(format!("shares with `{parent}`, which is replaced"));
    }
    for id in &container.joins {
        let slots = judged.values().flatten();
        let mut slots = slots.filter(|slot| slot.old.is_some_and(|old| old.id == *id));
        let parent = builder
            .observed
            .containers
            .iter()
            .find(|other| other.id == *id);
        let (parent, slot) = (parent.map(|parent| &parent.service), slots.next());
        match (parent, slot.map(|slot| &slot.verdict)) {
            (None, _) => return Some("the container it shares with is gone".into()),
            (Some(parent), Some(Verdict::Create(_) | Verdict::Recreate(_))) => {
                return Some(format!("shares with `{parent}`, which is replaced"));
            }
            (Some(parent), Some(Verdict::Remove(_))) => {
                return Some(format!(
                    "shares with a container of `{parent}` that is removed"
                ));
            }
            (Some(_), Some(Verdict::Keep | Verdict::Rename) | None) => {}
        }
    }
    None
}

fn attachments(builder: &Builder<'_>, service: &Service, container: &Container) -> Option<String> {
    let desired = builder.desired;
    let networks = service
        .networks
        .iter()
        .filter_map(|key| desired.networks.get(key));
    let unattached = networks
        .map(|network| &network.name)
        .find(|name| !container.networks.contains(name));
    if let Some(name) = unattached {
        return Some(format!("not attached to network `{name}`"));
    }
    let volumes = service
        .volumes
        .iter()
        .filter_map(|key| desired.volumes.get(key));
    let mounted = |name: &str| container.mounts.iter().any(|mount| mount.volume == name);
    let unmounted = volumes
        .map(|volume| &volume.name)
        .find(|name| !mounted(name));
    unmounted.map(|name| format!("does not mount volume `{name}`"))
}
