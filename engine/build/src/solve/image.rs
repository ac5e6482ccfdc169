//! From results to images: configurations with their layers, history and times.

use bowline_image::{Digest, HistoryRecord, ImageFile, NewBuild};

use super::{Built, Outcome, Solve};
use crate::builder::guard;
use crate::failure::BuildError;
use crate::graph::{Target, VertexId};
use crate::progress::EventKind;

/// What an image needs to know of a vertex.
#[derive(Clone, Debug)]
struct Made {
    layers: Vec<Digest>,
    created: u64,
}

impl Solve {
    /// Makes the images of all targets visible. Blocks.
    pub(super) fn images(&self) -> Result<Vec<Built>, BuildError> {
        let mut images = Vec::new();
        for target in &self.graph.targets {
            let file = self.image(target)?;
            images.push(NewBuild {
                config: serde_json::to_vec(&file).map_err(BuildError::Config)?,
                names: self
                    .inputs
                    .tags
                    .get(&target.name)
                    .cloned()
                    .unwrap_or_default(),
            });
        }
        let leavings = std::mem::take(&mut *guard(&self.leavings));
        let ids = self
            .builder
            .0
            .commit(&leavings, &images)
            .map_err(BuildError::Commit)?;
        let mut built = Vec::new();
        for ((target, image), id) in self.graph.targets.iter().zip(images).zip(ids) {
            self.events.send(EventKind::Image {
                target: target.name.clone(),
                id: id.clone(),
                tags: image.names.iter().map(|name| name.familiar()).collect(),
            });
            built.push(Built {
                target: target.name.clone(),
                id,
            });
        }
        Ok(built)
    }

    fn made(&self, id: VertexId) -> Option<Made> {
        match self.outcomes[id.0].borrow().as_ref() {
            Some(Outcome::Done(done)) => Some(Made {
                layers: done.layers.clone(),
                created: done.created,
            }),
            _ => None,
        }
    }

    fn image(&self, target: &Target) -> Result<ImageFile, BuildError> {
        let made = self.made(target.result).ok_or(BuildError::Cancelled)?;
        let mut file = target.config.clone();
        for step in &target.steps {
            let made = step.layer.and_then(|id| self.made(id));
            file.history.push(HistoryRecord {
                created: made.as_ref().map(|made| time(made.created)),
                empty_layer: made.is_none(),
                ..step.record.clone()
            });
        }
        fill_times(&mut file.history);
        file.created = file
            .history
            .iter()
            .rev()
            .find_map(|line| line.created.clone());
        file.rootfs.diff_ids = made.layers;
        Ok(file)
    }
}

/// Lines without a layer have no time of their own: those before the first new layer get that layer's, later ones that
/// of the layer before. So a build that finds everything in the cache makes the very same image.
fn fill_times(history: &mut [HistoryRecord]) {
    let mut time: Option<String> = None;
    let mut missing = false;
    for line in history.iter() {
        match &line.created {
            Some(created) => {
                time = Some(created.clone());
                if missing {
                    break;
                }
            }
            None => missing = true,
        }
    }
    let mut after = false;
    for line in history {
        match &line.created {
            Some(created) => {
                if after {
                    time = Some(created.clone());
                }
            }
            None => {
                after = true;
                line.created.clone_from(&time);
            }
        }
    }
}

/// RFC 3339, from nanoseconds since 1970.
fn time(nanoseconds: u64) -> String {
    jiff::Timestamp::from_nanosecond(nanoseconds.into())
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(created: Option<&str>) -> HistoryRecord {
        HistoryRecord {
            created: created.map(str::to_owned),
            empty_layer: created.is_none(),
            ..HistoryRecord::default()
        }
    }

    #[test]
    fn lines_without_a_layer_take_the_time_of_one() {
        let mut history = [
            line(Some("1")),
            line(None),
            line(Some("5")),
            line(None),
            line(Some("7")),
            line(None),
        ];
        fill_times(&mut history);
        let times: Vec<&str> = history
            .iter()
            .filter_map(|line| line.created.as_deref())
            .collect();
        assert_eq!(times, ["1", "5", "5", "5", "7", "7"]);
        let mut base = [line(Some("1")), line(None)];
        fill_times(&mut base);
        assert_eq!(base[1].created.as_deref(), Some("1"));
    }

    #[test]
    fn times_read_as_in_go() {
        assert_eq!(time(1_700_000_000_123_000_000), "2023-11-14T22:13:20.123Z");
    }
}
