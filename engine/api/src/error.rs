//! The body of every failed request.

use crate::wire::wire;

wire! {
    /// `{"message": "..."}`: clients print the message as it is.
    pub struct ErrorBody {
        #[serde(rename = "message")]
        pub message: String,
    }
}

impl ErrorBody {
    /// A body that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}
