//! What a person reads when something fails: what happened, to which service, why, what to try.

use std::error::Error as StdError;
use std::fmt::Write as _;

use super::Style;

/// How a command ends: an exit code, or a failure.
pub(crate) type Outcome<T = u8> = Result<T, Failure>;

/// A failure as it is printed. Boxed, because results that hold one are passed around a lot and are
/// almost always fine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure(Box<Parts>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    /// What happened, one sentence.
    message: String,
    /// Why, outermost first.
    causes: Vec<String>,
    /// A heading and lines below it, such as the end of a log.
    excerpt: Option<(String, Vec<String>)>,
    /// What to try.
    hints: Vec<String>,
    /// A text that is complete already and printed as it is.
    rendered: Option<String>,
    /// Exit code.
    code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            message: message.into(),
            code: 1,
            ..Parts::default()
        }))
    }

    /// A failure of the command line itself, exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(message).with_code(2)
    }

    /// A failure that was rendered elsewhere, with source excerpts.
    pub(crate) fn rendered(text: String, code: u8) -> Self {
        Self(Box::new(Parts {
            rendered: Some(text),
            code,
            ..Parts::default()
        }))
    }

    /// A silent end with this code.
    pub(crate) fn exit(code: u8) -> Self {
        Self::rendered(String::new(), code)
    }

    /// An end that was asked for by a signal.
    pub(crate) fn interrupted() -> Self {
        Self::new("interrupted").with_code(130)
    }

    /// What a plan was to do and did not; doing it again goes on from there.
    pub(crate) fn left(mut self, what: Vec<String>) -> Self {
        if !what.is_empty() {
            self.0.hints.extend(what);
            let hint = "running the same command again goes on from here";
            self.0.hints.push(hint.into());
        }
        self
    }

    /// From an error and its causes.
    pub(crate) fn from_error(error: &dyn StdError) -> Self {
        let mut causes = chain(error);
        let mut failure = Self::new(causes.remove(0));
        failure.0.causes = causes;
        failure
    }

    /// Puts a sentence before what is there, which becomes the first cause.
    pub(crate) fn context(mut self, message: impl Into<String>) -> Self {
        let before = std::mem::replace(&mut self.0.message, message.into());
        if !before.is_empty() {
            self.0.causes.insert(0, before);
        }
        self
    }

    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.causes.push(cause.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    pub(crate) fn excerpt(mut self, heading: impl Into<String>, lines: Vec<String>) -> Self {
        if !lines.is_empty() {
            self.0.excerpt = Some((heading.into(), lines));
        }
        self
    }

    pub(crate) fn with_code(mut self, code: u8) -> Self {
        self.0.code = code;
        self
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.0.code
    }

    /// The sentence and its causes in one line.
    pub(crate) fn line(&self) -> String {
        let mut line = self.0.message.clone();
        for cause in &self.0.causes {
            // Writing to a string cannot fail.
            let _ = write!(line, ": {cause}");
        }
        line
    }

    /// The whole for programs, one line. What was rendered elsewhere is as it was asked for there.
    pub(crate) fn json(&self) -> String {
        let parts = &self.0;
        match &parts.rendered {
            Some(text) => text.clone(),
            None => serde_json::json!({
                "error": true,
                "message": self.line(),
                "hints": parts.hints,
            })
            .to_string(),
        }
    }

    /// The whole text.
    pub(crate) fn render(&self, color: bool) -> String {
        let parts = &self.0;
        if let Some(text) = &parts.rendered {
            return text.clone();
        }
        let mut out = format!(
            "{} {}\n",
            Style::Error.paint("error:", color),
            parts.message
        );
        for cause in &parts.causes {
            let _ = writeln!(out, "  caused by: {cause}");
        }
        if let Some((heading, lines)) = &parts.excerpt {
            let _ = writeln!(out, "  {heading}");
            for line in lines {
                let _ = writeln!(out, "    | {line}");
            }
        }
        for hint in &parts.hints {
            let _ = writeln!(out, "{} {hint}", Style::Hint.paint("hint:", color));
        }
        out
    }
}

/// An error and its causes, outermost first; neighbours that say the same are said once.
pub(crate) fn chain(error: &dyn StdError) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        cause = next.source();
    }
    texts
}

impl<E: StdError> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::from_error(&error)
    }
}

/// `result.during("…")`: says what was being done.
pub(crate) trait WithContext<T> {
    /// Puts the sentence before the error.
    fn during(self, message: impl Into<String>) -> Outcome<T>;
}

impl<T, E: StdError> WithContext<T> for Result<T, E> {
    fn during(self, message: impl Into<String>) -> Outcome<T> {
        self.map_err(|error| Failure::from_error(&error).context(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_from_what_to_why_to_what_next() {
        let failure = Failure::new("bind 0.0.0.0:8080")
            .cause("address in use (held by `nginx`, pid 4121)")
            .context("cannot start service `web`: port 8080 is already taken")
            .excerpt("last lines of its log:", vec!["FATAL".into()])
            .hint("stop that process");
        assert_eq!(
            failure.render(false),
            "error: cannot start service `web`: port 8080 is already taken\n  \
             caused by: bind 0.0.0.0:8080\n  \
             caused by: address in use (held by `nginx`, pid 4121)\n  \
             last lines of its log:\n    \
             | FATAL\n\
             hint: stop that process\n"
        );
        assert_eq!(failure.code(), 1);
    }
}
