//! `/volumes`.

use bowline_api::{Filters, Volume, VolumeCreate, VolumeList, VolumesPruned};

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
