//! Networks as the API lists, joins and removes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bowline_api::{Filters, Network, NetworkConnect, NetworkDisconnect, NetworksPruned};

use super::{Engine, PREDEFINED, bridge};
use crate::container::Message;
use crate::error::{Error, Result};
use crate::record::{ContainerRecord, NetworkRecord};
use crate::view;

impl Engine {
    pub(super) fn network_event(
        &self,
        action: &str,
        record: &NetworkRecord,
        container: Option<&str>,
    ) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), record.name.clone()),
            ("type".to_owned(), record.driver.clone()),
        ]);
        attributes.extend(container.map(|id| ("container".to_owned(), id.to_owned())));
        self.events()
            .publish("network", action, &record.id, attributes);
    }

    /// Says that a container joined or left.
    pub(crate) fn network_member_event(&self, action: &str, network: &str, container: &str) {
        if let Ok(record) = self.networks().find(network) {
            self.network_event(action, &record, Some(container));
        }
    }

    fn members(&self, name: &str) -> Vec<Arc<ContainerRecord>> {
        let records = self.records();
        records
            .into_iter()
            .filter(|record| record.endpoints.contains_key(name))
            .collect()
    }

    /// `GET /networks`.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn networks_list(&self, filters: &Filters) -> Result<Vec<Network>> {
        let known = [
            "dangling", "driver", "id", "label", "label!", "name", "scope", "type",
        ];
        let invalid = |error: bowline_api::filters::FilterError| Error::invalid(error.to_string());
        filters.allow_only(&known).map_err(invalid)?;
        let dangling = filters.truth("dangling").map_err(invalid)?;
        let predefined =
            |record: &NetworkRecord| PREDEFINED.iter().any(|(name, _)| *name == record.name);
        let chosen = self.networks().all().into_values().filter(|record| {
            let kind = if predefined(record) {
                "builtin"
            } else {
                "custom"
            };
            filters.matches("driver", &record.driver)
                && filters.any("id", |value| record.id.starts_with(value))
                && filters.any("name", |value| record.name.contains(value))
                && filters.matches("scope", "local")
                && filters.matches("type", kind)
                && filters.matches_labels(&record.labels)
                && dangling.is_none_or(|wanted| {
                    !predefined(record) && self.members(&record.name).is_empty() == wanted
                })
        });
        Ok(chosen.map(|record| view::network(&record, &[])).collect())
    }

    /// `GET /networks/{id}`.
    ///
    /// # Errors
    /// 404.
    pub async fn network_inspect(&self, reference: &str) -> Result<Network> {
        let record = self.networks().find(reference)?;
        Ok(view::network(&record, &self.members(&record.name)))
    }

    /// `DELETE /networks/{id}`.
    ///
    /// # Errors
    /// 403 for a predefined one or one with running members.
    pub async fn network_remove(&self, reference: &str) -> Result<()> {
        let record = self.networks().find(reference)?;
        if PREDEFINED.iter().any(|(name, _)| *name == record.name) {
            return Err(Error::forbidden(format!(
                "{} is a pre-defined network and cannot be removed",
                record.name
            )));
        }
        let members = self.members(&record.name);
        let active: Vec<String> = members
            .iter()
            .filter(|member| member.phase.is_alive())
            .map(|member| format!("name:\"{}\" id:\"{}\"", member.name, member.short_id()))
            .collect();
        if !active.is_empty() {
            return Err(Error::forbidden(format!(
                "error while removing network: network {} has active endpoints ({})",
                record.name,
                active.join(", ")
            )));
        }
        self.forget_network(&record)?;
        if let Some(bridge) = bridge(&record) {
            let removed = self
                .net()
                .call(move |host| host.remove_bridge(&bridge.ifname))
                .await;
            let failed = |error: &dyn std::error::Error| Error::failed("remove the bridge", error);
            removed.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        }
        self.network_event("destroy", &record, None);
        self.touch();
        Ok(())
    }

    /// `POST /networks/{id}/connect`.
    ///
    /// # Errors
    /// 403 where it is connected already; what the endpoint asks for cannot be.
    pub async fn network_connect(&self, reference: &str, request: NetworkConnect) -> Result<()> {
        let network = self.networks().find(reference)?;
        let handle = self.containers().find(&request.container)?;
        let settings = Box::new(request.endpoint_config.unwrap_or_default());
        handle
            .ask(|reply| Message::Connect {
                network: network.name,
                settings,
                reply,
            })
            .await
    }

    /// `POST /networks/{id}/disconnect`.
    ///
    /// # Errors
    /// 404 or 403 where it is not connected.
    pub async fn network_disconnect(
        &self,
        reference: &str,
        request: NetworkDisconnect,
    ) -> Result<()> {
        let network = self.networks().find(reference)?;
        let handle = self.containers().find(&request.container)?;
        handle
            .ask(|reply| Message::Disconnect {
                network: network.name,
                reply,
            })
            .await
    }

    /// Removes networks without members.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn networks_prune(&self, filters: &Filters) -> Result<NetworksPruned> {
        let allowed = filters.allow_only(&["label", "label!"]);
        allowed.map_err(|error| Error::invalid(error.to_string()))?;
        let mut pruned = NetworksPruned::default();
        for record in self.networks().all().into_values() {
            let predefined = PREDEFINED.iter().any(|(name, _)| *name == record.name);
            let used = !self.members(&record.name).is_empty();
            if predefined || used || !filters.matches_labels(&record.labels) {
                continue;
            }
            if self.network_remove(&record.id).await.is_ok() {
                pruned.networks_deleted.push(record.name);
            }
        }
        Ok(pruned)
    }
}
