//! Proving who we are: what a registry asks for in its 401, and what we answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::http_client::HttpClient;
use super::url::Url;
use super::{RegistryError, Result, explained};
use crate::settings::Auth;

/// One way in that a registry offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
    Basic,
}

impl Challenge {
    /// All that an answer offers: several headers, several offers in each.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Self> {
        let values = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        values.flat_map(Self::parse).collect()
    }

    fn parse(header: &str) -> Vec<Self> {
        let mut offers: Vec<(String, Vec<(String, String)>)> = Vec::new();
        for item in split_outside_quotes(header) {
            let item = item.trim();
            // A word before the first parameter starts a new offer: `Bearer realm="…"`.
            let (scheme, parameter) = match item.split_once(char::is_whitespace) {
                Some((scheme, rest)) if !scheme.contains('=') => (Some(scheme), rest.trim()),
                None if !item.contains('=') => (Some(item), ""),
                _ => (None, item),
            };
            if let Some(scheme) = scheme {
                offers.push((scheme.to_ascii_lowercase(), Vec::new()));
            }
            if let (Some((_, parameters)), Some((key, value))) =
                (offers.last_mut(), parameter.split_once('='))
            {
                let value = value.trim().trim_matches('"').replace("\\\"", "\"");
                parameters.push((key.trim().to_ascii_lowercase(), value));
            }
        }
        offers
            .into_iter()
            .filter_map(|(scheme, parameters)| Self::offer(&scheme, &parameters))
            .collect()
    }

    fn offer(scheme: &str, parameters: &[(String, String)]) -> Option<Self> {
        let get = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        match scheme {
            "bearer" => Some(Self::Bearer {
                realm: get("realm")?,
                service: get("service"),
                scope: get("scope"),
            }),
            "basic" => Some(Self::Basic),
            _ => None,
        }
    }
}

/// Splits at commas, but not those in quotes: a scope may be `repository:x:pull,push`.
fn split_outside_quotes(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// What we know, and what it got us.
#[derive(Debug)]
pub(super) struct Credentials {
    auth: Auth,
    /// The header that worked, or was last given out. Held while a new one is fetched, so that parallel requests
    /// fetch one token and not each its own.
    header: Mutex<Option<HeaderValue>>,
}

impl Credentials {
    pub(super) fn new(auth: Option<Auth>) -> Self {
        let auth = auth.unwrap_or_default();
        let given = (!auth.registrytoken.is_empty())
            .then(|| bearer(&auth.registrytoken))
            .flatten();
        Self {
            auth,
            header: Mutex::new(given),
        }
    }

    pub(super) async fn header(&self) -> Option<HeaderValue> {
        self.header.lock().await.clone()
    }

    /// Gets what the registry asks for; `false` if we have nothing to offer. `used` is what it has just refused.
    pub(super) async fn answer(
        &self,
        http: &HttpClient,
        challenges: &[Challenge],
        scope: &str,
        used: Option<&HeaderValue>,
        open: std::result::Result<(), RegistryError>,
    ) -> Result<bool> {
        let mut header = self.header.lock().await;
        if header.as_ref() != used {
            // Somebody else has got a new one meanwhile.
            return Ok(true);
        }
        let tokens = challenges
            .iter()
            .find(|offer| matches!(offer, Challenge::Bearer { .. }));
        match tokens.or(challenges.first()) {
            Some(Challenge::Bearer {
                realm,
                service,
                scope: asked,
            }) => {
                let scope = asked.as_deref().unwrap_or(scope);
                let token = self.token(http, realm, service.as_deref(), scope).await?;
                *header = bearer(&token);
                Ok(header.is_some())
            }
            Some(Challenge::Basic) if !self.auth.username.is_empty() && used.is_none() => {
                open?;
                *header = self.basic();
                Ok(header.is_some())
            }
            _ => Ok(false),
        }
    }

    async fn token(
        &self,
        http: &HttpClient,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<String> {
        let mut fields = vec![("scope", scope)];
        fields.extend(service.map(|service| ("service", service)));
        let (method, url, headers, body) = if self.auth.identitytoken.is_empty() {
            let mut headers = HeaderMap::new();
            let url = Url::parse(realm)?;
            if let Some(basic) = self.basic() {
                http.may_show_password(&url)?;
                headers.insert(http::header::AUTHORIZATION, basic);
                fields.push(("account", &self.auth.username));
            }
            let mark = if realm.contains('?') { '&' } else { '?' };
            let url = Url::parse(&format!("{realm}{mark}{}", form(&fields)))?;
            (Method::GET, url, headers, Vec::new())
        } else {
            fields.push(("grant_type", "refresh_token"));
            fields.push(("refresh_token", &self.auth.identitytoken));
            fields.push(("client_id", "bowline"));
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            let url = Url::parse(realm)?;
            http.may_show_password(&url)?;
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
            (Method::POST, url, headers, form(&fields).into_bytes())
        };
        let answer = http.send(method, &url, headers, body).await?;
        let status = answer.status();
        let limited = http_body_util::Limited::new(answer.into_body(), 1024 * 1024);
        let no_token = || RegistryError::NoToken {
            realm: url.to_string(),
        };
        let text = limited.collect().await.map_err(|_| no_token())?.to_bytes();
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(RegistryError::Credentials {
                    message: explained(&text).1,
                });
            }
            _ => {
                let (url, message) = (url.to_string(), explained(&text).1);
                return Err(RegistryError::Status {
                    url,
                    status,
                    message,
                    retry_after: None,
                });
            }
        }
        let answer: TokenAnswer = serde_json::from_slice(&text).unwrap_or_default();
        answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(no_token)
    }

    fn basic(&self) -> Option<HeaderValue> {
        if self.auth.username.is_empty() {
            return None;
        }
        basic(&self.auth.username, &self.auth.password)
    }
}

#[derive(Default, Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

fn bearer(token: &str) -> Option<HeaderValue> {
    secret(&format!("Bearer {token}"))
}

pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    secret(&format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    ))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `a=b&c=d`, escaped.
fn form(fields: &[(&str, &str)]) -> String {
    let fields = fields
        .iter()
        .map(|(key, value)| format!("{key}={}", escape(value)));
    fields.collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> String {
    let escape_byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape_byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn offers_are_read() {
        let header = r#"Bearer realm="https://auth.io/token",service="reg",scope="repository:a/b:pull,push""#;
        let offer = bearer(
            "https://auth.io/token",
            Some("reg"),
            Some("repository:a/b:pull,push"),
        );
        assert_eq!(Challenge::parse(header), [offer]);
        assert_eq!(Challenge::parse(r#"Basic realm="x""#), [Challenge::Basic]);
        assert_eq!(Challenge::parse("basic"), [Challenge::Basic]);
        let both = r#"Basic realm="a, b", Bearer realm="https://t/""#;
        assert_eq!(
            Challenge::parse(both),
            [Challenge::Basic, bearer("https://t/", None, None)]
        );
        assert_eq!(Challenge::parse("Negotiate"), []);
        assert_eq!(Challenge::parse(""), []);
        assert_eq!(Challenge::parse("Bearer service=x"), []);
    }

    #[test]
    fn forms_are_escaped() {
        assert_eq!(
            form(&[("scope", "a:b c,d"), ("x", "é")]),
            "scope=a%3Ab%20c%2Cd&x=%C3%A9"
        );
    }
}
