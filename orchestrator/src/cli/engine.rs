//! `engine`: the engine in the foreground, and how the others start it.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use bowline_engine::config::TABLE;
use bowline_engine::{Options, StartError, run};
use clap::Args;

use crate::ui::{Failure, Outcome};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Engine {
    /// A setting as in `config.toml`
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(&'static str, String)>,
    /// Leave when idle
    #[arg(long, hide = true)]
    auto: bool,
    /// Where to tell that the engine is ready, or why it is not
    #[arg(long, hide = true, value_name = "FD")]
    ready_fd: Option<RawFd>,
    /// Shims do not bring the engine back after a crash
    #[arg(long)]
    no_revive: bool,
}

fn setting(text: &str) -> Result<(&'static str, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    let known = TABLE.iter().find(|setting| setting.key == key);
    let known = known.ok_or_else(|| {
        let keys: Vec<&str> = TABLE.iter().map(|setting| setting.key).collect();
        format!("unknown key `{key}`; known keys: {}", keys.join(", "))
    })?;
    Ok((known.key, value.to_owned()))
}

impl Engine {
    pub(super) fn run(self) -> Outcome {
        let flags: BTreeMap<&'static str, String> = self.settings.into_iter().collect();
        let options = Options {
            auto: self.auto,
            ready_fd: self.ready_fd,
            no_revive: self.no_revive,
            flags,
        };
        match run(&options) {
            Ok(()) => Ok(0),
            Err(error @ StartError::Rights) => Err(Failure::from_error(&error)
                .hint("`sudo bowline engine` runs it; members of the group `bowline` may use it")),
            Err(error) => {
                Err(Failure::from_error(&error)
                    .hint("`bowline doctor` checks what the engine needs"))
            }
        }
    }
}
