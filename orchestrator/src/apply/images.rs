//! Pulling images, with progress.

use std::collections::BTreeMap;

use bowline_api::Progress;
use bowline_client::Client;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;

use crate::login;
use crate::ui::{Failure, Meter, Outcome, Phase, Subject, bytes};

/// Pulls one image; a line of progress for the whole of it.
pub(crate) async fn pull_image(
    client: &Client,
    reference: &str,
    platform: Option<&str>,
    meter: &Meter,
) -> Outcome<()> {
    let subject = Subject {
        kind: "Image",
        name: reference.to_owned(),
    };
    meter.change(&subject, Phase::Busy, "Pulling");
    let pulled = follow(client, reference, platform, meter, &subject).await;
    match &pulled {
        Ok(()) => meter.change(&subject, Phase::Done, "Pulled"),
        Err(_) => meter.change(&subject, Phase::Failed, "Error"),
    }
    pulled
}

async fn follow(
    client: &Client,
    reference: &str,
    platform: Option<&str>,
    meter: &Meter,
    subject: &Subject,
) -> Outcome<()> {
    let auth = login::of_image(reference).await?;
    let mut lines = client
        .image_pull(reference, platform, auth.as_ref())
        .await?;
    let mut layers = Layers::default();
    while let Some(line) = lines.next().await {
        let line = line?;
        if !line.error.is_empty() {
            return Err(Failure::new(line.error));
        }
        layers.enter(&line);
        meter.detail(subject, &layers.summary());
    }
    Ok(())
}

/// Pulls several images at once.
pub(crate) async fn pull(
    client: &Client,
    images: &[(String, Option<String>)],
    meter: &Meter,
) -> Outcome<()> {
    let pulls = images.iter().map(async |(reference, platform)| {
        let pulled = pull_image(client, reference, platform.as_deref(), meter).await;
        pulled.map_err(|failure| failure.context(format!("cannot pull image `{reference}`")))
    });
    try_join_all(pulls).await?;
    Ok(())
}

/// Bytes of each layer that is on its way.
#[derive(Debug, Default)]
struct Layers {
    bytes: BTreeMap<String, (u64, u64)>,
}

impl Layers {
    fn enter(&mut self, line: &Progress) {
        let detail = line.progress_detail.as_ref();
        let (current, total) = (detail.and_then(|d| d.current), detail.and_then(|d| d.total));
        if let (Some(current), Some(total)) = (current, total) {
            let entry = self.bytes.entry(line.id.clone()).or_default();
            // Unpacking counts from zero again; what was downloaded stays downloaded.
            *entry = (entry.0.max(current), entry.1.max(total));
        } else if line.status == "Pull complete"
            && let Some(entry) = self.bytes.get_mut(&line.id)
        {
            entry.0 = entry.1;
        }
    }

    fn summary(&self) -> String {
        let (current, total) = self
            .bytes
            .values()
            .fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        match total {
            0 => "Pulling".into(),
            _ => format!("Pulling {} / {}", bytes(current), bytes(total)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_add_up() {
        let mut layers = Layers::default();
        layers.enter(&Progress::layer("a", "Pulling fs layer"));
        assert_eq!(layers.summary(), "Pulling");
        layers.enter(&Progress::bytes("a", "Downloading", 500_000, 1_000_000));
        layers.enter(&Progress::bytes("b", "Downloading", 1_000_000, 1_000_000));
        assert_eq!(layers.summary(), "Pulling 1.5MB / 2.0MB");
        layers.enter(&Progress::layer("a", "Pull complete"));
        assert_eq!(layers.summary(), "Pulling 2.0MB / 2.0MB");
    }
}
