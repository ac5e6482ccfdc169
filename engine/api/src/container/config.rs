//! The part of a container's configuration that could run on any host, and the body that creates one.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

use super::HostConfig;
use crate::network::EndpointSettings;
use crate::port::{Empty, PortSet};
use crate::wire::wire;

wire! {
    /// `Config`: of a container and, with fewer fields set, of an image.
    pub struct Config {
        pub hostname: String,
        pub domainname: String,
        pub user: String,
        pub attach_stdin: bool,
        pub attach_stdout: bool,
        pub attach_stderr: bool,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub exposed_ports: PortSet,
        pub tty: bool,
        pub open_stdin: bool,
        pub stdin_once: bool,
        pub env: Vec<String>,
        /// `None` takes the image's, unless an entrypoint is given.
        pub cmd: Option<Command>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub healthcheck: Option<HealthConfig>,
        #[serde(skip_serializing_if = "is_false")]
        pub args_escaped: bool,
        pub image: String,
        pub volumes: BTreeMap<String, Option<Empty>>,
        pub working_dir: String,
        /// `None` takes the image's; an empty one, or one empty word, takes none.
        pub entrypoint: Option<Command>,
        #[serde(skip_serializing_if = "is_false")]
        pub network_disabled: bool,
        /// Before API 1.44 the address was here; it counts for the network of `NetworkMode`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub mac_address: String,
        pub on_build: Vec<String>,
        pub labels: BTreeMap<String, String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub stop_signal: String,
        /// Seconds; negative waits for ever.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub stop_timeout: Option<i64>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub shell: Vec<String>,
    }

    /// A healthcheck. Durations are nanoseconds; 0 means the default (or the image's).
    pub struct HealthConfig {
        /// `[]` inherits, `["NONE"]` disables, `["CMD", …]` runs, `["CMD-SHELL", line]` runs in a shell.
        pub test: Vec<String>,
        pub interval: i64,
        pub timeout: i64,
        pub start_period: i64,
        pub start_interval: i64,
        pub retries: i64,
    }

    /// Which networks a container is created on, by name or id.
    pub struct NetworkingConfig {
        pub endpoints_config: BTreeMap<String, Option<EndpointSettings>>,
    }

    /// Body of `POST /containers/create`: a [`Config`] with two more keys.
    pub struct ContainerCreate {
        #[serde(flatten)]
        pub config: Config,
        pub host_config: HostConfig,
        pub networking_config: NetworkingConfig,
    }

    /// Answer of `POST /containers/create`.
    pub struct ContainerCreated {
        pub id: String,
        pub warnings: Vec<String>,
    }
}

/// Words of a command. A bare string is read as one word, as Docker does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Command(pub Vec<String>);

impl Deref for Command {
    type Target = Vec<String>;

    fn deref(&self) -> &Vec<String> {
        &self.0
    }
}

impl From<Vec<String>> for Command {
    fn from(words: Vec<String>) -> Self {
        Self(words)
    }
}

impl FromIterator<String> for Command {
    fn from_iter<I: IntoIterator<Item = String>>(words: I) -> Self {
        Self(words.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> serde::de::Visitor<'de> for Words {
            type Value = Command;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, word: &str) -> Result<Command, E> {
                Ok(Command(vec![word.to_owned()]))
            }

            fn visit_unit<E>(self) -> Result<Command, E> {
                Ok(Command::default())
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Command, A::Error> {
                let mut words = Vec::with_capacity(list.size_hint().unwrap_or(0));
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Command(words))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_missing_mean_the_default() {
        let given = r#"{"Image":"busybox","Cmd":"true","Entrypoint":[],"Env":null,"Labels":null,"Tty":null,
            "HostConfig":{"Binds":null,"Memory":null,"RestartPolicy":null,"MaskedPaths":[]},
            "NetworkingConfig":{"EndpointsConfig":{"front":null}},"Unknown":{"x":1}}"#;
        let create: ContainerCreate = serde_json::from_str(given).unwrap();
        assert_eq!(create.config.cmd.unwrap().0, ["true"]);
        assert_eq!(create.config.entrypoint, Some(Command::default()));
        assert!(create.config.env.is_empty() && !create.config.tty);
        assert_eq!(create.host_config.masked_paths, Some(Vec::new()));
        assert_eq!(create.host_config.readonly_paths, None);
        assert_eq!(create.networking_config.endpoints_config["front"], None);
    }

    #[test]
    fn a_whole_null_body_part_is_its_default() {
        let create: ContainerCreate =
            serde_json::from_str(r#"{"HostConfig":null,"NetworkingConfig":null}"#).unwrap();
        assert_eq!(create, ContainerCreate::default());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut create = ContainerCreate::default();
        create.config.image = "nginx".into();
        create.config.cmd = Some(vec!["a".into(), "b".into()].into());
        create.host_config.memory = 1 << 40;
        create.host_config.init = Some(false);
        let text = serde_json::to_string(&create).unwrap();
        assert_eq!(
            serde_json::from_str::<ContainerCreate>(&text).unwrap(),
            create
        );
        assert!(text.contains(r#""Env":[]"#), "{text}");
    }
}
