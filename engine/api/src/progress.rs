//! One line of a pull, load, import or push.

use crate::wire::wire;

wire! {
    /// A line of the stream. The wording of `status` is interface: clients look for `Pull complete`, `Downloading` …
    pub struct Progress {
        #[serde(rename = "stream", skip_serializing_if = "String::is_empty")]
        pub stream: String,
        #[serde(rename = "status", skip_serializing_if = "String::is_empty")]
        pub status: String,
        #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
        pub progress_detail: Option<ProgressDetail>,
        /// A bar in text, for clients that draw none.
        #[serde(rename = "progress", skip_serializing_if = "String::is_empty")]
        pub progress: String,
        /// The layer (12 digits) or the tag the line is about.
        #[serde(rename = "id", skip_serializing_if = "String::is_empty")]
        pub id: String,
        #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
        pub error_detail: Option<ProgressError>,
        #[serde(rename = "error", skip_serializing_if = "String::is_empty")]
        pub error: String,
        #[serde(rename = "aux", skip_serializing_if = "Option::is_none")]
        pub aux: Option<serde_json::Value>,
    }

    /// How far, in bytes. Empty (`{}`) when there is nothing to count.
    pub struct ProgressDetail {
        #[serde(rename = "current", skip_serializing_if = "Option::is_none")]
        pub current: Option<u64>,
        #[serde(rename = "total", skip_serializing_if = "Option::is_none")]
        pub total: Option<u64>,
    }

    /// Why the operation failed after the answer had begun.
    pub struct ProgressError {
        #[serde(rename = "code", skip_serializing_if = "Option::is_none")]
        pub code: Option<i64>,
        #[serde(rename = "message")]
        pub message: String,
    }
}

impl Progress {
    /// A line of plain output, as `load` writes it.
    pub fn stream(text: impl Into<String>) -> Self {
        Self {
            stream: text.into(),
            ..Self::default()
        }
    }

    /// A word about the whole operation.
    pub fn status(status: impl Into<String>) -> Self {
        Self {
            status: status.into(),
            ..Self::default()
        }
    }

    /// A word about one layer. Compose drops such lines without `progressDetail`, so it is always there.
    pub fn layer(id: impl Into<String>, status: impl Into<String>) -> Self {
        let progress_detail = Some(ProgressDetail::default());
        Self {
            id: id.into(),
            status: status.into(),
            progress_detail,
            ..Self::default()
        }
    }

    /// `current` of `total` bytes of one layer.
    pub fn bytes(
        id: impl Into<String>,
        status: impl Into<String>,
        current: u64,
        total: u64,
    ) -> Self {
        let progress_detail = Some(ProgressDetail {
            current: Some(current),
            total: Some(total),
        });
        Self {
            id: id.into(),
            status: status.into(),
            progress_detail,
            ..Self::default()
        }
    }

    /// The operation failed after its answer had begun.
    pub fn error(message: impl Into<String>) -> Self {
        let message = message.into();
        let error_detail = Some(ProgressError {
            code: None,
            message: message.clone(),
        });
        Self {
            error_detail,
            error: message,
            ..Self::default()
        }
    }
}
