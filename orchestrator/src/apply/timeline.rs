//! When each step of a plan ran, and which of them the whole had to wait for.

use std::time::Duration;

use bowline_plan::{Op, Step};

/// Shorter stretches are not worth a word beside longer ones.
const WORTH_TELLING: Duration = Duration::from_millis(50);

/// When a step began and ended, since the plan was begun.
pub(super) type Span = (Duration, Duration);

/// A stretch of the critical path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// What it was about: `db healthy`, `web`.
    pub(crate) what: String,
    /// How much of the whole it took.
    pub(crate) took: Duration,
}

/// How a plan went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// From the first step to the last.
    pub(crate) took: Duration,
    /// What it had to wait for, in the order of time.
    pub(crate) path: Vec<Stretch>,
}

impl Summary {
    /// `db healthy 1.6s → api 0.2s → web 0.1s`
    pub(crate) fn text(&self) -> String {
        let stretches: Vec<String> = self
            .path
            .iter()
            .map(|stretch| format!("{} {}", stretch.what, crate::ui::seconds(stretch.took)))
            .collect();
        stretches.join(" → ")
    }
}

/// The steps that each ended last among those the next one waited for; neighbours that are about the
/// same thing are one stretch.
pub(super) fn summary(steps: &[Step<'_>], spans: &[Option<Span>]) -> Summary {
    let ended = |number: usize| spans[number - 1].map(|(_, end)| end);
    let last = steps
        .iter()
        .filter_map(|step| Some((ended(step.number)?, step.number)))
        .max();
    let Some((took, mut here)) = last else {
        return Summary::default();
    };
    let mut chain = vec![here];
    while let Some(before) = steps[here - 1]
        .after
        .iter()
        .copied()
        .max_by_key(|n| ended(*n))
    {
        chain.push(before);
        here = before;
    }
    let mut path: Vec<Stretch> = Vec::new();
    let mut until = Duration::ZERO;
    for number in chain.into_iter().rev() {
        let op = &steps[number - 1].node.op;
        let end = ended(number).unwrap_or(until).max(until);
        let (subject, waited) = subject(op);
        let same = path
            .last_mut()
            .filter(|stretch| stretch.what.split(' ').next() == Some(subject.as_str()));
        match same {
            Some(stretch) => {
                stretch.took += end - until;
                if waited.is_some() {
                    stretch.what = words(&subject, waited);
                }
            }
            None => path.push(Stretch {
                what: words(&subject, waited),
                took: end - until,
            }),
        }
        until = end;
    }
    let longest = path.iter().map(|stretch| stretch.took).max();
    let worth = longest.unwrap_or_default().min(WORTH_TELLING);
    path.retain(|stretch| stretch.took >= worth);
    Summary { took, path }
}

fn words(subject: &str, waited: Option<String>) -> String {
    match waited {
        Some(waited) => format!("{subject} {waited}"),
        None => subject.to_owned(),
    }
}

fn subject(op: &Op) -> (String, Option<String>) {
    match op {
        Op::Wait { service, until, .. } => (service.clone(), Some(until.to_string())),
        op => match op.target() {
            Some(target) => (target.service.clone(), None),
            None => (op.subject().replacen(':', " ", 1), None),
        },
    }
}

#[cfg(test)]
mod tests {
    use bowline_plan::{Await, Node, Target};

    use super::*;

    fn target(service: &str) -> Target {
        Target {
            service: service.into(),
            number: 1,
            name: format!("shop-{service}-1"),
            reference: format!("shop-{service}-1"),
        }
    }

    fn node(op: Op) -> Node {
        Node {
            op,
            cause: String::new(),
            group: None,
        }
    }

    #[test]
    fn the_path_is_what_everybody_waited_for() {
        let start = |service| {
            node(Op::Start {
                target: target(service),
            })
        };
        let wait = node(Op::Wait {
            service: "db".into(),
            until: Await::Healthy,
            targets: vec![target("db")],
            optional: false,
        });
        let nodes = [
            start("db"),
            start("cache"),
            wait,
            start("api"),
            start("web"),
        ];
        let after = [vec![], vec![], vec![1], vec![2, 3], vec![4]];
        let steps: Vec<Step<'_>> = nodes
            .iter()
            .zip(after)
            .enumerate()
            .map(|(index, (node, after))| Step {
                number: index + 1,
                after,
                node,
            })
            .collect();
        let at = Duration::from_millis;
        let spans = [(0, 100), (0, 400), (100, 1600), (1600, 1800), (1800, 1900)];
        let spans: Vec<Option<Span>> = spans.iter().map(|(a, b)| Some((at(*a), at(*b)))).collect();
        let summary = summary(&steps, &spans);
        assert_eq!(summary.took, at(1900));
        assert_eq!(summary.text(), "db healthy 1.6s → api 0.2s → web 0.1s");
    }

    #[test]
    fn nothing_done_is_nothing_to_tell() {
        assert_eq!(summary(&[], &[]), Summary::default());
    }
}
