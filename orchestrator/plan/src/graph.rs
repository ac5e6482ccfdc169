//! The plan itself: nodes in an order that respects every edge, and its printed form.

use std::fmt;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::op::{Node, Op};

/// A DAG of operations. Edges only ever lead from an earlier node to a later one, so the order of
/// insertion is a valid order of execution and the plan cannot have a cycle.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    graph: DiGraph<Node, ()>,
    warnings: Vec<String>,
    /// What every later node waits for that would otherwise wait for nothing.
    barrier: Vec<Id>,
}

/// A node with its place in the plan.
#[derive(Clone, Debug)]
pub struct Step<'plan> {
    /// Number, from 1.
    pub number: usize,
    /// Numbers of the steps that must be done before.
    pub after: Vec<usize>,
    /// The node.
    pub node: &'plan Node,
}

impl Step<'_> {
    fn to_json(&self) -> serde_json::Value {
        let Node { op, cause, group } = self.node;
        let mut step = serde_json::json!({
            "number": self.number, "after": self.after, "subject": op.subject(),
            "action": op.verb(), "cause": cause,
        });
        if let Some(target) = op.target() {
            step["container"] = target.name.clone().into();
        }
        if let Some(group) = group {
            step["group"] = group.clone().into();
        }
        step
    }
}

/// Handle of a node while a plan is built; also its number minus one.
pub(crate) type Id = NodeIndex;

/// The number a node is printed with.
pub(crate) fn number(id: Id) -> usize {
    id.index() + 1
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.graph.node_count() == 0
    }

    /// How many steps.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// What people should know although nothing is done about it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All steps, each after those it waits for.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        self.graph.node_indices().map(|id| {
            let before = self.graph.neighbors_directed(id, Direction::Incoming);
            let mut after: Vec<usize> = before.map(number).collect();
            after.sort_unstable();
            Step {
                number: number(id),
                after,
                node: &self.graph[id],
            }
        })
    }

    /// The plan for programs: `steps` in an order that respects every edge, and `warnings`.
    pub fn to_json(&self) -> serde_json::Value {
        let steps: Vec<serde_json::Value> = self.steps().map(|step| step.to_json()).collect();
        serde_json::json!({"steps": steps, "warnings": self.warnings})
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = (Id, &Node)> {
        self.graph.node_indices().map(|id| (id, &self.graph[id]))
    }

    pub(crate) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Lets nothing that is added from now on begin before these nodes are done.
    pub(crate) fn hold_until(&mut self, nodes: impl IntoIterator<Item = Id>) {
        self.barrier.extend(nodes);
    }

    pub(crate) fn add(
        &mut self,
        after: impl IntoIterator<Item = Id>,
        op: Op,
        cause: impl Into<String>,
    ) -> Id {
        self.insert(
            after,
            Node {
                op,
                cause: cause.into(),
                group: None,
            },
        )
    }

    pub(crate) fn add_in(
        &mut self,
        after: impl IntoIterator<Item = Id>,
        op: Op,
        cause: impl Into<String>,
        group: Option<&str>,
    ) -> Id {
        self.insert(
            after,
            Node {
                op,
                cause: cause.into(),
                group: group.map(Into::into),
            },
        )
    }

    fn insert(&mut self, after: impl IntoIterator<Item = Id>, node: Node) -> Id {
        let id = self.graph.add_node(node);
        let mut free = true;
        for before in after {
            self.graph.update_edge(before, id, ());
            free = false;
        }
        if free {
            for before in &self.barrier {
                self.graph.update_edge(*before, id, ());
            }
        }
        id
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.steps() {
            let after: Vec<String> = step.after.iter().map(ToString::to_string).collect();
            let Node { op, cause, group } = step.node;
            let (number, after) = (step.number, after.join(","));
            write!(
                f,
                "[{after}] -> #{number} {}, {}, {cause}",
                op.subject(),
                op.verb()
            )?;
            match group {
                Some(group) => writeln!(f, " [{group}]")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// Damage for tests that must notice it.
#[cfg(test)]
impl Plan {
    /// The plan without some nodes; what waited for them waits for what they waited for.
    pub(crate) fn without(&self, gone: impl Fn(&Op) -> bool) -> Self {
        self.damaged(&gone, &|_| false)
    }

    /// The plan with some nodes waiting for nothing.
    pub(crate) fn unordered(&self, free: impl Fn(&Op) -> bool) -> Self {
        self.damaged(&|_| false, &free)
    }

    fn damaged(&self, gone: &dyn Fn(&Op) -> bool, free: &dyn Fn(&Op) -> bool) -> Self {
        let mut plan = Self::default();
        let mut became: Vec<Vec<Id>> = Vec::new();
        for (id, node) in self.ids() {
            let before = self.graph.neighbors_directed(id, Direction::Incoming);
            let before: Vec<Id> = match free(&node.op) {
                true => Vec::new(),
                false => before.flat_map(|id| became[id.index()].clone()).collect(),
            };
            became.push(match gone(&node.op) {
                true => before,
                false => vec![plan.insert(before, node.clone())],
            });
        }
        plan
    }
}
