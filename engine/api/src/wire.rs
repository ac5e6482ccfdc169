//! How a wire object is declared: one macro, so that the rules of the crate hold for every field without repetition.

use serde::{Deserialize, Deserializer};

/// Reads a value, taking `null` for its default.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Declares structs whose fields default when missing or `null`. Their names are PascalCase on the wire, or in the case
/// given first, unless a field is renamed.
macro_rules! wire {
    (case $case:literal; $(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident : $type:ty ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, rename_all = $case)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(deserialize_with = "crate::wire::null_is_default")]
                pub $field: $type,
            )*
        }
    )*};
    ($($structs:tt)*) => {
        crate::wire::wire! { case "PascalCase"; $($structs)* }
    };
}

pub(crate) use wire;
