//! `/volumes`.

use bowline_api::{
    Filters, SnapshotCreate, SnapshotList, Volume, VolumeCreate, VolumeFork, VolumeList,
    VolumeRestore, VolumeSnapshot, VolumesPruned,
};

use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Result};

impl Client {
    /// Volumes.
    pub async fn volumes_list(&self, filters: &Filters) -> Result<VolumeList> {
        self.fetch(Call::get(&Query::new("/volumes").filters(filters)))
            .await
    }

    /// One volume.
    pub async fn volume_inspect(&self, name: &str) -> Result<Volume> {
        self.fetch(Call::get(&Query::on("/volumes/{}", name))).await
    }

    /// Makes a volume, or gives the one of that name.
    pub async fn volume_create(&self, create: &VolumeCreate) -> Result<Volume> {
        self.fetch(Call::post(&Query::new("/volumes/create")).json(create)?)
            .await
    }

    /// Removes a volume nobody uses; `force` does not mind when it is not there.
    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        self.perform(Call::delete(
            &Query::on("/volumes/{}", name).flag("force", force),
        ))
        .await?;
        Ok(())
    }

    /// Removes volumes nobody uses: anonymous ones, or all with the filter `all=true`.
    pub async fn volumes_prune(&self, filters: &Filters) -> Result<VolumesPruned> {
        self.fetch(Call::post(&Query::new("/volumes/prune").filters(filters)))
            .await
    }
}

/// Snapshots of volumes, which only our own engine has.
impl Client {
    /// Snapshots of one volume, or of all.
    pub async fn snapshots_list(&self, volume: Option<&str>) -> Result<SnapshotList> {
        let query = match volume {
            Some(name) => Query::on("/bowline/volumes/{}/snapshots", name),
            None => Query::new("/bowline/volumes/snapshots"),
        };
        self.fetch(Call::get(&query)).await
    }

    /// Freezes a volume's files as they are now.
    pub async fn snapshot_create(&self, volume: &str, tag: &str) -> Result<VolumeSnapshot> {
        let body = SnapshotCreate {
            tag: tag.to_owned(),
        };
        let query = Query::on("/bowline/volumes/{}/snapshots", volume);
        self.fetch(Call::post(&query).json(&body)?).await
    }

    /// Removes a snapshot.
    pub async fn snapshot_remove(&self, volume: &str, tag: &str) -> Result<()> {
        let name = format!("{volume}/snapshots/{tag}");
        self.perform(Call::delete(&Query::on("/bowline/volumes/{}", &name)))
            .await?;
        Ok(())
    }

    /// Gives a volume the files of one of its snapshots.
    pub async fn volume_restore(&self, volume: &str, tag: &str) -> Result<Volume> {
        let body = VolumeRestore {
            tag: tag.to_owned(),
        };
        let query = Query::on("/bowline/volumes/{}/restore", volume);
        self.fetch(Call::post(&query).json(&body)?).await
    }

    /// Makes a volume with the files of another one.
    pub async fn volume_fork(&self, volume: &str, fork: &VolumeFork) -> Result<Volume> {
        let query = Query::on("/bowline/volumes/{}/fork", volume);
        self.fetch(Call::post(&query).json(fork)?).await
    }
}
