//! `COPY` and `ADD`.

use super::remote::remote;
use super::stage::{Build, Now, Stage};
use crate::dockerfile::{Add, Copy, Fault, Instruction, Mistake, Transfer};
use crate::graph::{self, Chmod, CopySource, InlineFile, Op, VertexId};
use crate::ignore::{Ignore, clean};
use crate::warnings::Rule;
use crate::words::Lexer;

type Result<T = (), E = Fault> = std::result::Result<T, E>;

/// What tells `COPY` and `ADD` apart, as far as files are concerned.
struct Manner<'a> {
    keyword: &'static str,
    from: VertexId,
    /// The files are those of the main context, which has an ignore file.
    context: bool,
    parents: bool,
    unpack: bool,
    transfer: &'a Transfer,
}

impl Build<'_> {
    pub(super) fn copy(&mut self, stage: &mut Stage, now: &mut Now<'_>, copy: &Copy) -> Result {
        let span = now.command.instruction.span;
        let source = now.command.sources.first().copied().flatten();
        let from = match source {
            Some(state) => self.source_of(state, "cannot copy", span)?,
            None => self.main_context(span),
        };
        let manner = Manner {
            keyword: "COPY",
            from,
            context: source.is_none(),
            parents: copy.parents,
            unpack: false,
            transfer: &copy.transfer,
        };
        self.transfer(stage, now, &manner)
    }

    pub(super) fn add(&mut self, stage: &mut Stage, now: &mut Now<'_>, add: &Add) -> Result {
        let instruction = &now.command.instruction;
        if !self.word(stage, &add.checksum, instruction)?.is_empty() {
            let remote_only = add
                .transfer
                .sources
                .iter()
                .all(|source| remote(source).is_none());
            if remote_only {
                return Err(Fault::new(Mistake::Checksum, instruction.span));
            }
        }
        let manner = Manner {
            keyword: "ADD",
            from: self.main_context(instruction.span),
            context: true,
            parents: false,
            unpack: add.unpack.unwrap_or(true),
            transfer: &add.transfer,
        };
        self.transfer(stage, now, &manner)
    }

    fn transfer(&mut self, stage: &mut Stage, now: &mut Now<'_>, manner: &Manner<'_>) -> Result {
        let instruction = &now.command.instruction;
        let transfer = manner.transfer;
        let chown = self.word(stage, &transfer.chown, instruction)?;
        let chmod = self.word(stage, &transfer.chmod, instruction)?;
        let mode = chmod_of(&chmod).map_err(|mistake| Fault::new(mistake, instruction.span))?;
        let mut paths = Vec::new();
        for source in &transfer.sources {
            paths.push(self.word(stage, source, instruction)?);
        }
        let dest = self.word(stage, &transfer.dest, instruction)?;
        let mut history = vec![manner.keyword.to_owned()];
        history.extend(manner.parents.then(|| "--parents".to_owned()));
        history.extend((!chown.is_empty()).then(|| format!("--chown={chown}")));
        history.extend((!chmod.is_empty()).then(|| format!("--chmod={chmod}")));
        let mut sources = Vec::new();
        for path in &paths {
            history.push(path.clone());
            self.check_source(path, manner, instruction)?;
            sources.push(source_of(path, manner));
        }
        for heredoc in &transfer.heredocs {
            history.push(format!("<<{}", heredoc.name));
            let text = match heredoc.expand {
                true => self.expand(stage, &heredoc.text(), instruction.span, RAW)?,
                false => heredoc.text(),
            };
            sources.push(self.inline(stage, &heredoc.name, text, now));
        }
        history.push(dest.clone());
        let exclude = transfer.exclude.clone();
        Ignore::new(exclude.iter().map(String::as_str))
            .map_err(|error| Fault::new(error, instruction.span))?;
        // The stock builder forgets the flag when it sees a mode. Names of owners need the base to be looked up in, so
        // that such a copy cannot stand apart from it.
        let numeric = chown
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b':');
        let link = transfer.link && mode.is_none() && numeric;
        let op = Op::Copy(Box::new(graph::Copy {
            base: stage.vertex,
            sources,
            dest: destination(&stage.dir, &dest),
            chown: (!chown.is_empty()).then_some(chown),
            link,
            chmod: mode,
            exclude,
        }));
        let lexer = self.lexer();
        let name = self.name(now, &instruction.code, lexer, &stage.env, &stage.platform);
        stage.vertex = self.step(op, name, now, &stage.platform);
        let layer = Some(stage.vertex);
        stage.commit(&format!("{} # buildkit", history.join(" ")), layer);
        Ok(())
    }

    fn check_source(
        &mut self,
        path: &str,
        manner: &Manner<'_>,
        instruction: &Instruction,
    ) -> Result {
        if let Some(what) = remote(path) {
            let mistake = match manner.keyword {
                "COPY" => Mistake::CopyRemote(what),
                _ => Mistake::AddRemote {
                    what,
                    source_path: path.to_owned(),
                },
            };
            return Err(Fault::new(mistake, instruction.span));
        }
        if !crate::ignore::is_pattern(path) {
            let mistake = Mistake::SourcePattern(path.to_owned());
            return Err(Fault::new(mistake, instruction.span));
        }
        let hidden = |ignore: &Ignore| ignore.hides(path);
        if manner.context && self.options.ignore.as_ref().is_some_and(hidden) {
            let keyword = if manner.keyword == "ADD" {
                "Add"
            } else {
                "Copy"
            };
            let text = format!(
                "Attempting to {keyword} file \"{path}\" that is excluded by .dockerignore"
            );
            self.remarks
                .warn(Rule::CopyIgnoredFile, instruction.span, text);
        }
        Ok(())
    }

    fn inline(&mut self, stage: &Stage, name: &str, text: String, now: &Now<'_>) -> CopySource {
        let path = clean(&format!("/{name}"));
        let op = Op::Files(vec![InlineFile {
            path: path.clone(),
            mode: 0o644,
            data: text.into_bytes(),
        }]);
        CopySource {
            from: self.inline_files(op, stage, now),
            path,
            wildcard: false,
            parents: None,
            unpack: false,
        }
    }

    pub(super) fn inline_files(&mut self, op: Op, stage: &Stage, now: &Now<'_>) -> VertexId {
        let name = "[internal] preparing inline document".to_owned();
        let span = now.command.instruction.span;
        self.vertex(op, name, now.state.label.clone(), span, &stage.platform)
    }
}

/// Quotes mean nothing in a file, and the escape character is always the backslash.
const RAW: Lexer = Lexer {
    escape: '\\',
    raw_quotes: false,
    raw_escapes: false,
    ignore_quotes: true,
    keep_unset: false,
};

/// A path of a context. With `--parents`, what stands before `/./` is no part of what is kept.
fn source_of(path: &str, manner: &Manner<'_>) -> CopySource {
    let (path, parents) = match (manner.parents, path.split_once("/./")) {
        (false, _) => (path, None),
        (true, Some((above, kept))) => (above, Some(kept)),
        (true, None) => ("/", Some(path)),
    };
    let absolute = |path: &str| clean(&format!("/{path}"));
    CopySource {
        from: manner.from,
        path: absolute(path),
        wildcard: true,
        parents: parents.map(|kept| absolute(kept).trim_start_matches('/').to_owned()),
        unpack: manner.unpack,
    }
}

/// Where files go: below the working directory unless it is absolute. `/.` at the end is as good as a slash.
fn destination(dir: &str, dest: &str) -> String {
    let folder = matches!(dest, "" | ".") || dest.ends_with('/') || dest.ends_with("/.");
    let path = match dest.starts_with('/') {
        true => clean(dest),
        false => clean(&format!("/{dir}/{dest}")),
    };
    if folder && path != "/" {
        format!("{path}/")
    } else {
        path
    }
}

fn chmod_of(text: &str) -> Result<Option<Chmod>, Mistake> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || Mistake::Chmod(text.to_owned());
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(Some(Chmod::Octal(mode))),
        Ok(_) => Err(wrong()),
        Err(_) if is_symbolic(text) => Ok(Some(Chmod::Symbolic(text.to_owned()))),
        Err(_) => Err(wrong()),
    }
}

/// `[ugoa]*([-+=]([rwxXst]*|[ugo]))+`, several with commas between them.
fn is_symbolic(text: &str) -> bool {
    text.split(',').all(|clause| {
        let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
        if !actions.starts_with(['-', '+', '=']) {
            return false;
        }
        actions.split(['-', '+', '=']).skip(1).all(|bits| {
            matches!(bits, "u" | "g" | "o") || bits.chars().all(|bit| "rwxXst".contains(bit))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        for (dir, dest, want) in [
            ("/", ".", "/"),
            ("/app", ".", "/app/"),
            ("/app", "a", "/app/a"),
            ("/app", "a/", "/app/a/"),
            ("/app", "../b/.", "/b/"),
            ("/app", "/x//y/", "/x/y/"),
            ("/app", "", "/app/"),
        ] {
            assert_eq!(destination(dir, dest), want, "{dir} {dest}");
        }
    }

    #[test]
    fn modes() {
        assert_eq!(chmod_of("0755"), Ok(Some(Chmod::Octal(0o755))));
        assert!(matches!(
            chmod_of("u=rwX,go-w"),
            Ok(Some(Chmod::Symbolic(_)))
        ));
        assert!(matches!(chmod_of("a+x-w"), Ok(Some(Chmod::Symbolic(_)))));
        for wrong in ["999", "10000", "rwx", "u~x", "u", "g=ux"] {
            assert!(chmod_of(wrong).is_err(), "{wrong}");
        }
    }
}
