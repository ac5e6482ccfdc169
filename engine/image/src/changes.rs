//! The Dockerfile instructions that `import --change` takes: those that only touch the configuration.

use crate::config::{Empty, Healthcheck, ImageConfig};

/// An instruction that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Not one of those allowed here.
    #[error(
        "`{0}` is not a valid change: only CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR are"
    )]
    Instruction(String),
    /// Something is missing or odd after it.
    #[error("`{instruction}`: {reason}")]
    Arguments {
        /// The whole instruction.
        instruction: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Applies one instruction.
pub(crate) fn apply(config: &mut ImageConfig, instruction: &str) -> Result<(), ChangeError> {
    let text = instruction.trim();
    let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let wrong = |reason| ChangeError::Arguments {
        instruction: instruction.to_owned(),
        reason,
    };
    let keyword = keyword.to_ascii_uppercase();
    if rest.is_empty() && KEYWORDS.contains(&keyword.as_str()) {
        return Err(wrong("it needs an argument"));
    }
    match keyword.as_str() {
        "CMD" => config.cmd = Some(command(rest)),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest)),
        "ENV" => {
            for (key, value) in pairs(rest).map_err(wrong)? {
                config
                    .env
                    .retain(|old| old.split_once('=').is_none_or(|(name, _)| name != key));
                config.env.push(format!("{key}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(rest).map_err(wrong)?),
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                expose(config, port).ok_or_else(|| wrong("a port is a number or a range"))?;
            }
        }
        "VOLUME" => {
            let volumes = json_words(rest)
                .unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
            config
                .volumes
                .extend(volumes.into_iter().map(|path| (path, Empty {})));
        }
        "USER" => config.user = unquote(rest),
        "WORKDIR" => config.working_dir = join(&config.working_dir, &unquote(rest)),
        "STOPSIGNAL" => config.stop_signal = Some(unquote(rest)),
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest).map_err(wrong)?),
        _ => return Err(ChangeError::Instruction(instruction.to_owned())),
    }
    Ok(())
}

const KEYWORDS: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "LABEL",
    "EXPOSE",
    "VOLUME",
    "USER",
    "WORKDIR",
    "STOPSIGNAL",
    "ONBUILD",
    "HEALTHCHECK",
];

fn json_words(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') {
        serde_json::from_str(text).ok()
    } else {
        None
    }
}

/// The exec form is a JSON list; anything else is a line for the shell.
fn command(text: &str) -> Vec<String> {
    json_words(text).unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into(), text.to_owned()])
}

fn expose(config: &mut ImageConfig, port: &str) -> Option<()> {
    let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    if first == 0 || last < first || !["tcp", "udp", "sctp"].contains(&protocol) {
        return None;
    }
    let ports = (first..=last).map(|port| (format!("{port}/{protocol}"), Empty {}));
    config.exposed_ports.extend(ports);
    Some(())
}

fn join(base: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    format!("{}/{path}", base.trim_end_matches('/'))
}

fn unquote(text: &str) -> String {
    words(text).map_or_else(|_| text.to_owned(), |words| words.join(" "))
}

/// `KEY=value KEY="two words"`, or the old form `KEY the rest`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let words = words(text)?;
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text
            .split_once(char::is_whitespace)
            .ok_or("it needs a name and a value")?;
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let split = |word: String| {
        let (key, value) = word.split_once('=').ok_or("it needs `name=value` pairs")?;
        if key.is_empty() {
            Err("a name is empty")
        } else {
            Ok((key.to_owned(), value.to_owned()))
        }
    };
    words.into_iter().map(split).collect()
}

/// Splits at blanks, minding quotes and backslashes.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let next = characters.next().ok_or("it ends in a backslash")?;
                word.get_or_insert_default().push(next);
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

fn healthcheck(text: &str) -> Result<Healthcheck, &'static str> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag
            .split_once(char::is_whitespace)
            .ok_or("it needs CMD or NONE")?;
        let (name, value) = flag.split_once('=').ok_or("a flag needs a value")?;
        let duration = || duration(value).ok_or("a time is a number with a unit, such as 30s");
        match name {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => check.retries = value.parse().map_err(|_| "retries is a number")?,
            _ => return Err("it has an unknown flag"),
        }
        rest = after.trim_start();
    }
    let (keyword, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match (keyword.to_ascii_uppercase().as_str(), command.trim()) {
        ("NONE", "") => vec!["NONE".to_owned()],
        ("CMD", command) if !command.is_empty() => match json_words(command) {
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        _ => return Err("it needs CMD and a command, or NONE"),
    };
    Ok(check)
}

/// Go's notation: `1m30s`, `500ms`. In nanoseconds.
fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let units = [
            ("ns", 1),
            ("us", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ];
        let (unit, worth) = units.into_iter().find(|(unit, _)| {
            after.strip_prefix(unit).is_some_and(|next| {
                next.is_empty() || next.starts_with(|c: char| c.is_ascii_digit())
            })
        })?;
        total = total.checked_add(number.checked_mul(worth)?)?;
        rest = &after[unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(changes: &[&str]) -> ImageConfig {
        let mut config = ImageConfig::default();
        for change in changes {
            apply(&mut config, change).unwrap();
        }
        config
    }

    #[test]
    fn every_instruction_reaches_its_field() {
        let config = applied(&[
            "CMD [\"a\", \"b c\"]",
            "entrypoint run me",
            "ENV A=1 B=\"two words\" C=x\\ y",
            "ENV OLD the rest",
            "ENV A=2",
            "LABEL a.b=c 'd e'=f",
            "EXPOSE 80 53/udp 8000-8001",
            "VOLUME [\"/data\", \"/x y\"]",
            "VOLUME /a /b",
            "USER app:app",
            "WORKDIR /srv",
            "WORKDIR app",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN true",
            "HEALTHCHECK --interval=1m30s --retries=2 CMD curl localhost",
        ]);
        assert_eq!(config.cmd.unwrap(), ["a", "b c"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run me"]);
        assert_eq!(config.env, ["B=two words", "C=x y", "OLD=the rest", "A=2"]);
        assert_eq!(config.labels["d e"], "f");
        let ports: Vec<_> = config.exposed_ports.keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
        let volumes: Vec<_> = config.volumes.keys().collect();
        assert_eq!(volumes, ["/a", "/b", "/data", "/x y"]);
        assert_eq!(config.user, "app:app");
        assert_eq!(config.working_dir, "/srv/app");
        assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
        assert_eq!(config.on_build, ["RUN true"]);
        let check = config.healthcheck.unwrap();
        assert_eq!(check.test, ["CMD-SHELL", "curl localhost"]);
        assert_eq!((check.interval, check.retries), (90_000_000_000, 2));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for change in [
            "RUN x",
            "",
            "CMD",
            "ENV A",
            "ENV =x",
            "LABEL a=\"b",
            "EXPOSE http",
            "EXPOSE 9-8",
            "HEALTHCHECK",
            "HEALTHCHECK --interval=5 CMD x",
            "HEALTHCHECK CMD",
        ] {
            assert!(
                apply(&mut ImageConfig::default(), change).is_err(),
                "{change:?}"
            );
        }
    }
}
