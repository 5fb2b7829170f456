//! Messages of the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Makes a sandbox.
#[derive(Debug, Serialize)]
pub(crate) struct NewSandbox<'a> {
    #[serde(rename = "templateID")]
    pub(crate) template_id: &'a str,
    pub(crate) timeout: u32,
    pub(crate) metadata: &'a BTreeMap<String, String>,
    #[serde(rename = "envVars", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env_vars: &'a BTreeMap<String, String>,
    /// Of the first version only; the second always is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secure: Option<bool>,
}

/// Seconds from now.
#[derive(Debug, Serialize)]
pub(crate) struct Timeout {
    pub(crate) timeout: u32,
}

/// A name for a snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct NewSnapshot<'a> {
    pub(crate) name: &'a str,
}

/// A sandbox that was made or resumed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sandbox {
    #[serde(rename = "sandboxID", deserialize_with = "id")]
    pub(crate) sandbox_id: String,
    #[serde(default)]
    pub(crate) envd_version: String,
    #[serde(default, deserialize_with = "secret")]
    pub(crate) envd_access_token: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    pub(crate) traffic_access_token: Option<Secret>,
    #[serde(default)]
    pub(crate) domain: Option<String>,
}

/// A sandbox as it is. Also a row of a list, which has no token.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Detail {
    #[serde(rename = "sandboxID", deserialize_with = "id")]
    pub(crate) sandbox_id: String,
    #[serde(rename = "templateID", default)]
    pub(crate) template_id: String,
    #[serde(default)]
    pub(crate) alias: Option<String>,
    pub(crate) started_at: String,
    pub(crate) end_at: String,
    #[serde(default)]
    pub(crate) cpu_count: u32,
    #[serde(rename = "memoryMB", default)]
    pub(crate) memory_mb: u32,
    #[serde(rename = "diskSizeMB", default)]
    pub(crate) disk_size_mb: u32,
    #[serde(default)]
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    pub(crate) state: State,
    #[serde(default)]
    pub(crate) envd_version: String,
    #[serde(default, deserialize_with = "secret")]
    pub(crate) envd_access_token: Option<Secret>,
    #[serde(default)]
    pub(crate) domain: Option<String>,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Running,
    Paused,
    /// One that is not known here counts as running: it is there.
    #[serde(other)]
    Other,
}

/// Figures of a sandbox.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metric {
    #[serde(default)]
    pub(crate) timestamp_unix: i64,
    #[serde(default)]
    pub(crate) cpu_count: u32,
    /// Of all its processors together.
    #[serde(default)]
    pub(crate) cpu_used_pct: f64,
    #[serde(default)]
    pub(crate) mem_used: u64,
    #[serde(default)]
    pub(crate) mem_total: u64,
    #[serde(default)]
    pub(crate) disk_used: u64,
    #[serde(default)]
    pub(crate) disk_total: u64,
}

/// The newest figures of several sandboxes.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Metrics {
    #[serde(default)]
    pub(crate) sandboxes: BTreeMap<String, Metric>,
}

/// A snapshot.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Snapshot {
    #[serde(rename = "snapshotID")]
    pub(crate) snapshot_id: String,
    #[serde(default)]
    pub(crate) names: Vec<String>,
}

/// A template.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Template {
    #[serde(rename = "templateID")]
    pub(crate) template_id: String,
    #[serde(default)]
    pub(crate) names: Vec<String>,
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) build_status: Option<String>,
}

/// What a name means.
#[derive(Debug, Deserialize)]
pub(crate) struct Alias {
    #[serde(rename = "templateID")]
    pub(crate) template_id: String,
}

/// A file that was written.
#[derive(Debug, Deserialize)]
pub(crate) struct WrittenFile {
    #[serde(default)]
    pub(crate) path: String,
}

/// Most characters of a sandbox's id.
const MAX_ID: usize = 128;

/// True for what can be a sandbox's id: it becomes a part of addresses and headers.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_id(&text) { Ok(text) } else { Err(serde::de::Error::custom("a sandbox's id that can be none")) }
}

/// A token, which becomes a header.
fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    match text {
        Some(text) if !text.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(serde::de::Error::custom("a token that can be none"))
        }
        text => Ok(text.map(Secret::new)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sandbox_is_read_and_its_tokens_are_not_shown() {
        let sandbox: Sandbox = serde_json::from_value(json!({
            "templateID": "t", "sandboxID": "iabc", "clientID": "c", "envdVersion": "0.6.13", "envdAccessToken": "tok_secret",
            "trafficAccessToken": null, "domain": null, "new": {},
        }))
        .unwrap();
        assert_eq!((sandbox.sandbox_id.as_str(), sandbox.envd_version.as_str()), ("iabc", "0.6.13"));
        assert!(sandbox.envd_access_token.is_some() && sandbox.traffic_access_token.is_none());
        assert!(!format!("{sandbox:?}").contains("tok_secret"));
    }

    #[test]
    fn a_new_sandbox_says_only_what_it_must() {
        let (metadata, none) = (BTreeMap::from([("e2bridge".to_owned(), "1".to_owned())]), BTreeMap::new());
        let request =
            NewSandbox { template_id: "t", timeout: 60, metadata: &metadata, env_vars: &none, secure: None };
        let expected = json!({"templateID": "t", "timeout": 60, "metadata": {"e2bridge": "1"}});
        assert_eq!(serde_json::to_value(&request).unwrap(), expected);
    }
}
