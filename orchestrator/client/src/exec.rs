//! `/exec`.

use bowline_api::{ExecCreate, ExecCreated, ExecInspect, ExecStart};

use crate::hijack::Hijacked;
use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Result};

impl Client {
    /// Prepares a process in a container; gives its id.
    pub async fn exec_create(&self, container: &str, create: &ExecCreate) -> Result<String> {
        let call = Call::post(&Query::on("/containers/{}/exec", container)).json(create)?;
        Ok(self.fetch::<ExecCreated>(call).await?.id)
    }

    /// Starts it and joins its streams.
    pub async fn exec_start(&self, id: &str, tty: bool) -> Result<Hijacked> {
        let start = ExecStart {
            tty,
            ..ExecStart::default()
        };
        let call = Call::post(&Query::on("/exec/{}/start", id)).json(&start)?;
        self.hijack(call, Some(tty)).await
    }

    /// Starts it and leaves it alone.
    pub async fn exec_start_detached(&self, id: &str, tty: bool) -> Result<()> {
        let start = ExecStart {
            detach: true,
            tty,
            console_size: None,
        };
        self.perform(Call::post(&Query::on("/exec/{}/start", id)).json(&start)?)
            .await?;
        Ok(())
    }

    /// How it goes, or how it went.
    pub async fn exec_inspect(&self, id: &str) -> Result<ExecInspect> {
        self.fetch(Call::get(&Query::on("/exec/{}/json", id))).await
    }

    /// Tells its terminal a new size.
    pub async fn exec_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let query = Query::on("/exec/{}/resize", id)
            .with("h", height.to_string())
            .with("w", width.to_string());
        self.perform(Call::post(&query)).await?;
        Ok(())
    }
}
