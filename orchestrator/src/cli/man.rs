//! `man`: pages for `man`, from the definition of the command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::Cli;
use crate::ui::{Outcome, WithContext as _};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Man {
    /// Folder to write them into
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(self) -> Outcome {
        let folder = self.folder.display().to_string();
        std::fs::create_dir_all(&self.folder).during(format!("cannot make the folder {folder}"))?;
        clap_mangen::generate_to(Cli::command(), &self.folder)
            .during(format!("cannot write the pages into {folder}"))?;
        Ok(0)
    }
}
