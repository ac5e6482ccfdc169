//! A shell in what a failed step of a build left.

use std::io::IsTerminal as _;

use bowline_api::KeptState;
use bowline_client::Client;

use super::context::Context;
use super::streams::join;
use crate::terminal::RawMode;
use crate::ui::{Outcome, WithContext as _};

/// Runs it until the person leaves it; what the step left then goes.
pub(super) async fn open(context: &Context, client: &Client, kept: &KeptState) -> Outcome<()> {
    let stream = client.build_shell(&kept.id).await;
    let stream = stream.during("cannot open a shell in what the step left")?;
    context
        .ui
        .note("a shell in the state of the failed step; `exit` leaves it, and it is gone");
    let _raw = std::io::stdin()
        .is_terminal()
        .then(RawMode::enter)
        .flatten();
    join(client, stream, true, None).await
}
