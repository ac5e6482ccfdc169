//! From a profile to verdicts: which calls, on which architecture, for a container with these capabilities.

use std::collections::BTreeMap;

#[cfg(test)]
use super::profile::Op;
use super::profile::{Action, Architectures, Condition, Filter, Group, Profile};
use super::syscalls;
use super::{Arch, CompileError, KernelVersion, Target};
use crate::caps::{Cap, CapSet};

const ENOSYS: u16 = 38;

/// A profile for one container on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// One section per architecture; a call from any other is no call of ours and dies.
    pub(super) sections: Vec<Section>,
}

/// The verdicts for one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) arch: Arch,
    /// For calls with no rule.
    pub(super) default: Action,
    pub(super) rules: BTreeMap<u32, Verdict>,
    /// Calls numbered from here on are younger than the profile. ENOSYS, for a program that is told EPERM by a call
    /// it only tries (as C libraries try new calls) gives up, one that is told ENOSYS falls back.
    pub(super) unheard_of: Option<u32>,
}

/// What happens to one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    /// Whatever its arguments.
    Always(Action),
    /// The action of the first rule whose conditions all hold; else the default.
    FirstOf(Vec<Rule>),
}

/// An action under conditions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    pub(super) when: Vec<Condition>,
    pub(super) action: Action,
}

impl Resolved {
    pub(super) fn new(
        profile: &Profile,
        caps: CapSet,
        target: Target,
    ) -> Result<Self, CompileError> {
        let profile = &profile.content;
        let groups: Vec<&Group> = profile
            .groups
            .iter()
            .filter(|group| applies(group, caps, target))
            .collect();
        let sections = architectures(&profile.architectures, target.arch)
            .into_iter()
            .map(|arch| Section::new(arch, profile.default, &groups))
            .collect::<Result<_, _>>()?;
        Ok(Self { sections })
    }
}

impl Section {
    fn new(arch: Arch, default: Action, groups: &[&Group]) -> Result<Self, CompileError> {
        let mut rules = BTreeMap::new();
        // The profile has heard of every call it names, also of those whose rule changes nothing.
        let mut newest = None;
        for group in groups {
            for name in &group.names {
                let Some(number) = syscalls::number(arch, name) else {
                    continue;
                };
                if !syscalls::is_private(number) {
                    newest = newest.max(Some(number));
                }
                if group.action != default {
                    add(&mut rules, number, split(name, group)?);
                }
            }
        }
        let unheard_of = newest
            .filter(|_| !default.permits())
            .map(|newest| newest + 1);
        Ok(Self {
            arch,
            default,
            rules,
            unheard_of,
        })
    }

    /// The verdict for a call that has no rule.
    pub(super) fn without_rule(&self, number: u32) -> Action {
        match self.unheard_of {
            Some(first) if number >= first => Action::errno(ENOSYS),
            _ => self.default,
        }
    }
}

/// An unconditional rule covers every conditional one, whichever came first; of two unconditional ones the first holds.
/// That is what libseccomp makes of such lists, and what profiles written for it rely on.
fn add(rules: &mut BTreeMap<u32, Verdict>, number: u32, new: Vec<Rule>) {
    let present = rules
        .entry(number)
        .or_insert_with(|| Verdict::FirstOf(Vec::new()));
    for rule in new {
        match present {
            Verdict::Always(_) => return,
            Verdict::FirstOf(_) if rule.when.is_empty() => *present = Verdict::Always(rule.action),
            Verdict::FirstOf(list) => list.push(rule),
        }
    }
}

/// The conditions of a group all have to hold, unless two of them look at the same argument: then any will do.
/// This too is how Docker's profiles are read by runc.
fn split(name: &str, group: &Group) -> Result<Vec<Rule>, CompileError> {
    let mut seen = [0u32; 6];
    for condition in &group.args {
        let slot = usize::try_from(condition.index)
            .ok()
            .and_then(|index| seen.get_mut(index));
        let slot = slot.ok_or_else(|| CompileError::NoSuchArgument {
            syscall: name.to_owned(),
            index: condition.index,
        })?;
        *slot += 1;
    }
    let rule = |when: Vec<Condition>| Rule {
        when,
        action: group.action,
    };
    Ok(if seen.iter().any(|count| *count > 1) {
        group
            .args
            .iter()
            .map(|condition| rule(vec![condition.clone()]))
            .collect()
    } else {
        vec![rule(group.args.clone())]
    })
}

/// The native architecture first, then those it also runs. Ones without a table are left out: their calls die.
fn architectures(wanted: &Architectures, native: Arch) -> Vec<Arch> {
    let mut list = vec![native];
    let named: Vec<&str> = match wanted {
        Architectures::Listed(names) => names.iter().map(String::as_str).collect(),
        Architectures::Mapped(maps) => maps
            .iter()
            .filter(|map| Arch::from_scmp(&map.architecture) == Some(native))
            .flat_map(|map| map.sub_architectures.iter().map(String::as_str))
            .collect(),
    };
    for arch in named.into_iter().filter_map(Arch::from_scmp) {
        if !list.contains(&arch) {
            list.push(arch);
        }
    }
    list
}

fn applies(group: &Group, caps: CapSet, target: Target) -> bool {
    includes(&group.includes, caps, target) && !excludes(&group.excludes, caps, target)
}

fn includes(filter: &Filter, caps: CapSet, target: Target) -> bool {
    filter.caps.iter().all(|cap| holds(cap, caps))
        && (filter.arches.is_empty()
            || filter
                .arches
                .iter()
                .any(|arch| arch == target.arch.go_name()))
        && filter
            .min_kernel
            .as_deref()
            .is_none_or(|least| at_least(least, target.kernel))
}

fn excludes(filter: &Filter, caps: CapSet, target: Target) -> bool {
    filter.caps.iter().any(|cap| holds(cap, caps))
        || filter
            .arches
            .iter()
            .any(|arch| arch == target.arch.go_name())
        || filter
            .min_kernel
            .as_deref()
            .is_some_and(|least| at_least(least, target.kernel))
}

fn holds(name: &str, caps: CapSet) -> bool {
    Cap::parse(name).is_ok_and(|cap| caps.contains(cap))
}

fn at_least(least: &str, kernel: KernelVersion) -> bool {
    KernelVersion::parse(least).is_some_and(|least| kernel >= least)
}

/// What a call looks like to a filter.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) audit: u32,
    pub(super) number: u32,
    pub(super) args: [u64; 6],
}

#[cfg(test)]
impl Resolved {
    /// The verdicts applied by hand: what every compiled program must agree with.
    pub(super) fn judge(&self, call: &Call) -> Action {
        let is_x32 = |number: u32| number >= syscalls::X32_BIT;
        let ours = |section: &&Section| {
            section.arch.audit() == call.audit
                && match section.arch {
                    Arch::X86_64 => !is_x32(call.number),
                    Arch::X32 => is_x32(call.number),
                    _ => true,
                }
        };
        let Some(section) = self.sections.iter().find(ours) else {
            return Action::KILL_PROCESS;
        };
        match section.rules.get(&call.number) {
            None => section.without_rule(call.number),
            Some(Verdict::Always(action)) => *action,
            Some(Verdict::FirstOf(rules)) => rules
                .iter()
                .find(|rule| {
                    rule.when
                        .iter()
                        .all(|condition| condition.holds(&call.args))
                })
                .map_or(section.default, |rule| rule.action),
        }
    }
}

#[cfg(test)]
impl Condition {
    fn holds(&self, args: &[u64; 6]) -> bool {
        let arg = args[usize::try_from(self.index).unwrap()];
        match self.op {
            Op::Ne => arg != self.value,
            Op::Lt => arg < self.value,
            Op::Le => arg <= self.value,
            Op::Eq => arg == self.value,
            Op::Ge => arg >= self.value,
            Op::Gt => arg > self.value,
            Op::MaskedEq => arg & self.value == self.value_two,
        }
    }
}
