//! `/networks`.

use bowline_api::{
    Filters, Network, NetworkConnect, NetworkCreate, NetworkCreated, NetworkDisconnect,
    NetworksPruned,
};

use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Result};

impl Client {
    /// Networks, without their members.
    pub async fn networks_list(&self, filters: &Filters) -> Result<Vec<Network>> {
        self.fetch(Call::get(&Query::new("/networks").filters(filters)))
            .await
    }

    /// A network with its running members.
    pub async fn network_inspect(&self, id: &str) -> Result<Network> {
        self.fetch(Call::get(&Query::on("/networks/{}", id))).await
    }

    /// Makes a network.
    pub async fn network_create(&self, create: &NetworkCreate) -> Result<NetworkCreated> {
        self.fetch(Call::post(&Query::new("/networks/create")).json(create)?)
            .await
    }

    /// Removes a network without members.
    pub async fn network_remove(&self, id: &str) -> Result<()> {
        self.perform(Call::delete(&Query::on("/networks/{}", id)))
            .await?;
        Ok(())
    }

    /// Puts a container on a network.
    pub async fn network_connect(&self, id: &str, connect: &NetworkConnect) -> Result<()> {
        self.perform(Call::post(&Query::on("/networks/{}/connect", id)).json(connect)?)
            .await?;
        Ok(())
    }

    /// Takes a container off a network.
    pub async fn network_disconnect(&self, id: &str, disconnect: &NetworkDisconnect) -> Result<()> {
        let call = Call::post(&Query::on("/networks/{}/disconnect", id)).json(disconnect)?;
        self.perform(call).await?;
        Ok(())
    }

    /// Removes networks without members.
    pub async fn networks_prune(&self, filters: &Filters) -> Result<NetworksPruned> {
        self.fetch(Call::post(&Query::new("/networks/prune").filters(filters)))
            .await
    }
}
