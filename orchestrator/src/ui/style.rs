//! Colours. They never carry meaning alone: every coloured word says the same in black and white.

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `error:`
    Error,
    /// `warning:`
    Warning,
    /// `hint:` and the like.
    Hint,
    /// Something is done.
    Good,
    /// Something is under way.
    Busy,
    /// A heading.
    Bold,
}

impl Style {
    /// The text with its colour, or as it is.
    pub(crate) fn paint(self, text: &str, color: bool) -> String {
        if !color || text.is_empty() {
            return text.to_owned();
        }
        let code = match self {
            Self::Error => "1;31",
            Self::Warning => "1;33",
            Self::Hint => "1;36",
            Self::Good => "32",
            Self::Busy => "34",
            Self::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Colours of log prefixes, in the order that containers get them.
const PREFIXES: [&str; 10] = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

/// The colour of the `index`th container's prefix.
pub(crate) fn prefix_style(index: usize, text: &str, color: bool) -> String {
    match color {
        true => format!(
            "\u{1b}[{}m{text}\u{1b}[0m",
            PREFIXES[index % PREFIXES.len()]
        ),
        false => text.to_owned(),
    }
}
