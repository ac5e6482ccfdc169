//! One command at a time changes a project.
//!
//! The engine keeps the lock for as long as our connection lives, so it ends with us however we end. An
//! engine that has no such thing, a real Docker Engine say, is used without.

use bowline_client::{Client, Error, Lease, LeaseRequest};

use super::context::Context;
use crate::ui::{Outcome, WithContext as _};

impl Context {
    /// Takes the project for this command; waits, and says for whom, while another has it.
    pub(super) async fn hold(&self, client: &Client, project: &str) -> Outcome<Option<Lease>> {
        if self.globals.dry_run {
            return Ok(None);
        }
        let mut request = LeaseRequest {
            name: format!("project/{project}"),
            holder: holder(),
            ..LeaseRequest::default()
        };
        let holder = match client.lease(&request).await {
            Ok(lease) => return Ok(Some(lease)),
            Err(Error::Api {
                status: 409,
                message,
            }) => message,
            // It has none, or is one that does not know this request.
            Err(Error::Api {
                status: 400..=405 | 501,
                ..
            }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        self.ui.note(format!(
            "Waiting for {holder}, which is changing project `{project}`"
        ));
        request.wait = true;
        let lease = client.lease(&request).await;
        Ok(Some(lease.during(format!(
            "cannot take project `{project}` for this command"
        ))?))
    }
}

/// Who we are, to those who wait for us: the command without what may be secret behind it.
fn holder() -> String {
    let mut words = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'));
    let known = |word: &String| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let command = words.find(known).unwrap_or_default();
    format!("`bowline {command}` (pid {})", std::process::id())
}
