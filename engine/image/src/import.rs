//! `import`: a root file system as one tar becomes an image of one layer.

use tokio::io::AsyncRead;

use crate::config::{HistoryRecord, ImageConfig};
use crate::reference::Reference;
use crate::store::{Image, Store};
use crate::{Result, blocking, changes, layer};

impl Store {
    /// Makes an image of the archive `body`, named `reference`, with Dockerfile instructions applied to its
    /// configuration and `message` as its remark.
    pub async fn import(
        &self,
        body: impl AsyncRead + Unpin,
        reference: Option<&Reference>,
        changes: &[String],
        message: &str,
    ) -> Result<Image> {
        // Before anything is unpacked, for a slip in an instruction should not cost minutes.
        let mut config = ImageConfig::default();
        for change in changes {
            changes::apply(&mut config, change)?;
        }
        let comment = if message.is_empty() {
            "Imported from -"
        } else {
            message
        };
        let step = HistoryRecord {
            comment: comment.to_owned(),
            ..HistoryRecord::default()
        };
        let (store, reference) = (self.clone(), reference.cloned());
        let imported = blocking::with_reader(body, move |body| {
            let (layer, _) = layer::stage(&store.0, body)?;
            store.commit_single(layer, config, step, reference.as_ref())
        });
        imported
            .await
            .map_err(|error| error.telling_full(&self.0.root))
    }
}
