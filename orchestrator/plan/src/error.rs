//! Why there is no plan.

/// What makes a wish impossible to plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A named service is not in the project.
    #[error("no such service: `{service}`")]
    NoSuchService {
        /// The name given.
        service: String,
        /// A name that is close to it.
        similar: Option<String>,
    },
    /// Nothing was selected.
    #[error("no service selected")]
    NothingSelected,
    /// `depends_on` and its relatives form a circle.
    #[error("dependency cycle: {}", .path.join(" -> "))]
    Cycle {
        /// The services, the first repeated at the end.
        path: Vec<String>,
    },
    /// An external network is not there.
    #[error("network `{name}` is declared as external, but could not be found")]
    ExternalNetworkMissing {
        /// Its key in the file.
        key: String,
        /// Its name in the engine.
        name: String,
    },
    /// An external volume is not there.
    #[error("volume `{name}` is declared as external, but could not be found")]
    ExternalVolumeMissing {
        /// Its key in the file.
        key: String,
        /// Its name in the engine.
        name: String,
    },
    /// `container_name` allows one container only.
    #[error("service `{service}` has a fixed container_name and cannot be scaled to {scale}")]
    ScaledName {
        /// The service.
        service: String,
        /// The scale asked for.
        scale: u32,
    },
    /// Two services claim one container name.
    #[error("services `{first}` and `{second}` both want the container name `{name}`")]
    SameName {
        /// The first service.
        first: String,
        /// The second service.
        second: String,
        /// The name.
        name: String,
    },
    /// `pull_policy: never`, and the image is not there.
    #[error("service `{service}` needs image `{image}`, which is not here and may not be pulled")]
    ImageMissing {
        /// The service.
        service: String,
        /// The reference.
        image: String,
    },
    /// `start` needs a container that `up` or `create` made.
    #[error("service `{service}` has no container to start")]
    NoContainer {
        /// The service.
        service: String,
    },
    /// A dependency can never become healthy.
    #[error("service `{dependent}` waits for `{service}` to be healthy, but it has no healthcheck")]
    NoHealthcheck {
        /// The dependency.
        service: String,
        /// Who waits.
        dependent: String,
    },
}

/// Result of planning.
pub type Result<T> = std::result::Result<T, PlanError>;
