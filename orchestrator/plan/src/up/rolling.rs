//! Replicas that are exchanged a few at a time, as `deploy.update_config` asks.

use crate::error::Result;
use crate::graph::Id;
use crate::op::{Await, Op, Target};

use super::Builder;
use super::containers::Exchange;
use super::starts;
use super::verdict::{Slot, Verdict};

/// Finds the services of which several replicas, or a successor before its predecessor's end, make
/// an order necessary.
pub(super) fn choose(builder: &mut Builder<'_>) {
    if builder.choices.no_start {
        return;
    }
    for name in builder.order.clone() {
        let service = builder.service(name);
        let Some(mut update) = service.update else {
            continue;
        };
        let slots = &builder.slots[name];
        let exchanged = slots.iter().filter(|slot| is_exchanged(slot)).count();
        if exchanged == 0 || builder.desired.is_one_shot(name) || is_joined(builder, name) {
            continue;
        }
        if update.start_first
            && let Some(reason) = &service.exclusive
        {
            update.start_first = false;
            builder.plan.warn(format!(
                "service `{name}` cannot start new containers first: {reason}; the old ones stop first"
            ));
        }
        let all_at_once = update.parallelism == 0 || exchanged == 1;
        if update.start_first || !all_at_once {
            builder.rolling.insert(name, update);
        }
    }
}

fn is_exchanged(slot: &Slot<'_>) -> bool {
    matches!(slot.verdict, Verdict::Recreate(_)) && slot.old.is_some()
}

/// Others live in its namespaces, and follow it all together.
fn is_joined(builder: &Builder<'_>, name: &str) -> bool {
    let mut others = builder.order.iter();
    others.any(|other| builder.service(other).joins.iter().any(|join| join == name))
}

/// Exchanges the replicas in batches; each batch is ready before the next begins.
pub(super) fn exchange<'a>(builder: &mut Builder<'a>, service: &'a str) -> Result<()> {
    let Some(update) = builder.rolling.get(service).copied() else {
        return Ok(());
    };
    let slots = builder.slots[service].clone();
    let slots: Vec<&Slot<'a>> = slots.iter().filter(|slot| is_exchanged(slot)).collect();
    let size = match usize::try_from(update.parallelism) {
        Ok(size) if size > 0 => size,
        _ => slots.len(),
    };
    let conditions = starts::conditions(builder, service)?;
    let mut before: Vec<Id> = Vec::new();
    for batch in slots.chunks(size) {
        let mut done = Vec::new();
        for &slot in batch {
            let (Verdict::Recreate(cause), Some(old)) = (&slot.verdict, slot.old) else {
                continue;
            };
            let one = One {
                exchange: Exchange::new(service, slot, old),
                service,
                slot,
                conditions: &conditions,
            };
            // A volume or network that is replaced has taken the old container with it.
            if builder.removed.contains_key(old.id.as_str()) {
                super::containers::container(builder, service, slot);
                done.push(one.start_alone(builder));
                continue;
            }
            let created = one.exchange.create(builder, before.clone(), cause);
            done.push(match update.start_first {
                true => one.start_first(builder, created),
                false => one.stop_first(builder, created),
            });
        }
        before = done;
    }
    Ok(())
}

struct One<'s, 'a> {
    exchange: Exchange<'s, 'a>,
    service: &'a str,
    slot: &'s Slot<'a>,
    conditions: &'s [Id],
}

impl<'a> One<'_, 'a> {
    fn start_first(&self, builder: &mut Builder<'a>, created: Id) -> Id {
        let successor = self.exchange.successor();
        let mut after = self.conditions.to_vec();
        after.push(created);
        let cause = "before its predecessor stops";
        let (_, ready) = self.start(builder, &successor, after, cause);
        let done = self.exchange.retire(builder, created, vec![ready]);
        builder.made.insert(self.slot.name.clone(), done);
        // Who looks at it by its name has to wait until it bears it.
        builder.started.entry(self.service).or_default().push(done);
        done
    }

    fn stop_first(&self, builder: &mut Builder<'a>, created: Id) -> Id {
        let made = self.exchange.retire(builder, created, Vec::new());
        builder.made.insert(self.slot.name.clone(), made);
        let mut after = self.conditions.to_vec();
        after.push(made);
        self.start_as_named(builder, after)
    }

    fn start_alone(&self, builder: &mut Builder<'a>) -> Id {
        let mut after = self.conditions.to_vec();
        after.extend(builder.made.get(&self.slot.name));
        self.start_as_named(builder, after)
    }

    fn start_as_named(&self, builder: &mut Builder<'a>, after: Vec<Id>) -> Id {
        let target = starts::slot_target(builder, self.service, self.slot);
        let (started, ready) = self.start(builder, &target, after, "replaced");
        builder
            .started
            .entry(self.service)
            .or_default()
            .push(started);
        ready
    }

    /// Starts the container and waits until it is fit to serve; the nodes for both.
    fn start(
        &self,
        builder: &mut Builder<'a>,
        target: &Target,
        mut after: Vec<Id>,
        cause: &str,
    ) -> (Id, Id) {
        starts::wait_for_ports(builder, self.service, &mut after);
        let hooks = starts::each_hook(builder, self.service, target, after);
        let group = Some(self.exchange.group());
        let op = Op::Start {
            target: target.clone(),
        };
        let started = builder.plan.add_in(hooks, op, cause, group);
        let started = starts::post_start(builder, self.service, target, started, group);
        let op = Op::Wait {
            service: self.service.into(),
            until: Await::Ready,
            targets: vec![target.clone()],
            optional: false,
        };
        let ready = builder
            .plan
            .add_in([started], op, "one after the other", group);
        (started, ready)
    }
}
