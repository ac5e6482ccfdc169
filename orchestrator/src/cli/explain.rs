//! `explain`: what a code of a diagnostic means.

use bowline_compose::explain;
use clap::Args;

use crate::ui::{Failure, Outcome, Ui};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Explain {
    /// As it stands behind `error` or `warning`; all codes if none is given
    code: Option<String>,
}

impl Explain {
    pub(super) fn run(self, ui: Ui) -> Outcome {
        let Some(code) = self.code else {
            for (code, text) in explain::codes() {
                let first = text.lines().next().unwrap_or_default();
                ui.line(format!("{code:28} {first}"));
            }
            return Ok(0);
        };
        match explain::explain(&code) {
            Some((code, text)) => {
                ui.line(format!("{code}\n\n{text}"));
                Ok(0)
            }
            None => {
                let failure = Failure::new(format!("no code `{code}`"));
                Err(match explain::closest(&code) {
                    Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
                    None => failure.hint("`bowline explain` lists all codes"),
                })
            }
        }
    }
}
