//! The API: sandboxes, snapshots, templates.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2bridge_core::{Error, Result};
use serde::de::DeserializeOwned;

use crate::error_map::{Layer, Trouble};
use crate::http::exchange::Payload;
use crate::http::guard::Guard;
use crate::http::retry::Repeat;
use crate::http::url::{Url, escape, query};
use crate::settings::Settings;
use crate::transport::{Answer, Call, Transport};
use crate::wire::api::{
    Alias, Detail, Metric, Metrics, NewSandbox, NewSnapshot, Sandbox, Snapshot, Template, Timeout,
};

/// Rows of a page; the most that the API gives.
const PAGE: &str = "100";
/// Most pages that are read: a server that does not come to an end is wrong.
const MAX_PAGES: usize = 1_000;
/// Most sandboxes whose figures are asked for at once.
const METRICS_AT_ONCE: usize = 100;

/// A route that newer clusters have in a second version: whether this cluster has only the first.
#[derive(Debug, Default)]
struct Version(AtomicBool);

impl Version {
    /// True once the second version was found missing.
    fn is_old(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn remember_old(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The API of a cluster.
pub(crate) struct Control {
    url: Url,
    headers: Vec<(&'static str, String)>,
    create: Version,
    connect: Version,
    list: Version,
    templates: Version,
}

/// What a request to the API is.
struct Ask<'a> {
    operation: &'static str,
    repeat: Repeat,
    method: &'static str,
    target: String,
    json: Option<&'a [u8]>,
}

impl Control {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut headers = vec![("Accept", "application/json".to_owned()), ("User-Agent", user_agent())];
        if let Some(key) = &settings.api_key {
            headers.push(("X-API-Key", key.expose().to_owned()));
        }
        if let Some(token) = &settings.access_token {
            headers.push(("Authorization", format!("Bearer {}", token.expose())));
        }
        Self {
            url: settings.api.clone(),
            headers,
            create: Version::default(),
            connect: Version::default(),
            list: Version::default(),
            templates: Version::default(),
        }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    fn ask(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        ask: Ask<'_>,
    ) -> std::result::Result<Answer, Trouble> {
        self.ask_within(transport, guard, ask, transport.request_time())
    }

    fn ask_within(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        ask: Ask<'_>,
        time: Duration,
    ) -> std::result::Result<Answer, Trouble> {
        let mut headers = self.headers.clone();
        let payload = match ask.json {
            None => Payload::None,
            Some(json) => {
                headers.push(("Content-Type", "application/json".to_owned()));
                Payload::Bytes(json)
            }
        };
        transport.fetch(
            Call {
                operation: ask.operation,
                layer: Layer::Control,
                repeat: ask.repeat,
                method: ask.method,
                url: &self.url,
                target: ask.target,
                headers,
                payload,
                time: Some(time),
            },
            guard,
        )
    }

    /// Asks the second version of a route, then the first where the second is not there.
    fn ask_newest<'a>(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        version: &Version,
        newest: Ask<'a>,
        old: Ask<'a>,
    ) -> std::result::Result<Answer, Trouble> {
        if version.is_old() {
            return self.ask(transport, guard, old);
        }
        let answer = self.ask(transport, guard, newest)?;
        if !matches!(answer.head.status, 404 | 405) {
            return Ok(answer);
        }
        // 404 also says that what was asked for is not there; then the first version says so, too.
        let again = self.ask(transport, guard, old)?;
        if again.head.status < 400 {
            version.remember_old();
        }
        Ok(if again.head.status == 405 { answer } else { again })
    }

    /// Makes a sandbox. Never twice: `Trouble` says when it may have been made without an answer.
    pub(crate) fn create(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        request: &NewSandbox<'_>,
    ) -> std::result::Result<Sandbox, Trouble> {
        const OPERATION: &str = "create sandbox";
        let newest = to_json(request)?;
        let old = to_json(&NewSandbox { secure: Some(true), ..*request })?;
        let ask = |target: &str, json| Ask {
            operation: OPERATION,
            repeat: Repeat::Creates,
            method: "POST",
            target: target.to_owned(),
            json: Some(json),
        };
        let answer = self.ask_newest(
            transport,
            guard,
            &self.create,
            ask("/v2/sandboxes", &newest),
            ask("/sandboxes", &old),
        )?;
        Ok(expect(transport, OPERATION, &answer)?)
    }

    /// A sandbox as it is.
    pub(crate) fn detail(&self, transport: &Transport, guard: &Guard<'_>, raw_id: &str) -> Result<Detail> {
        const OPERATION: &str = "get sandbox";
        let answer = self.get(transport, guard, OPERATION, format!("/sandboxes/{}", escape(raw_id)))?;
        expect(transport, OPERATION, &answer)
    }

    /// Resumes a paused sandbox, which then lives `timeout` seconds at least.
    pub(crate) fn connect(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        raw_id: &str,
        timeout: u32,
    ) -> Result<Sandbox> {
        const OPERATION: &str = "connect to sandbox";
        let json = to_json(&Timeout { timeout })?;
        let ask = |version: &str| Ask {
            operation: OPERATION,
            repeat: Repeat::Harmless,
            method: "POST",
            target: format!("{version}/sandboxes/{}/connect", escape(raw_id)),
            json: Some(&json),
        };
        let answer = self
            .ask_newest(transport, guard, &self.connect, ask("/v2"), ask(""))
            .map_err(|trouble| trouble.error)?;
        expect(transport, OPERATION, &answer)
    }

    /// Our sandboxes in those states, oldest first, with all of `metadata`.
    pub(crate) fn list(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        states: &str,
        metadata: &[(&str, &str)],
    ) -> Result<Vec<Detail>> {
        const OPERATION: &str = "list sandboxes";
        // Escaped once as a part of a form and once as the form's place in the query.
        let filter: Vec<String> =
            metadata.iter().map(|(key, value)| format!("{}={}", escape(key), escape(value))).collect();
        let filter = filter.join("&");
        let mut rows: Vec<Detail> = Vec::new();
        let mut pages = Pages::default();
        loop {
            let newest = query(&[
                ("metadata", Some(&filter)),
                ("state", Some(states)),
                ("order", Some("asc")),
                ("limit", Some(PAGE)),
                ("nextToken", pages.token.as_deref()),
            ])
            // A list of words is separated by plain commas.
            .replace("%2C", ",");
            let ask = |target: String| Ask {
                operation: OPERATION,
                repeat: Repeat::Harmless,
                method: "GET",
                target,
                json: None,
            };
            let old = query(&[("metadata", Some(&filter))]);
            let answer = self
                .ask_newest(
                    transport,
                    guard,
                    &self.list,
                    ask(format!("/v2/sandboxes{newest}")),
                    ask(format!("/sandboxes{old}")),
                )
                .map_err(|trouble| trouble.error)?;
            let page: Vec<Detail> = expect_rows(transport, OPERATION, &answer)?;
            rows.extend(page);
            if !pages.go_on(transport, OPERATION, &answer)? {
                break;
            }
        }
        // A server may know less of a filter than it should.
        rows.retain(|row| {
            metadata.iter().all(|(key, value)| {
                row.metadata.as_ref().and_then(|all| all.get(*key)).is_some_and(|found| found == value)
            })
        });
        rows.sort_by(|a, b| a.started_at.cmp(&b.started_at));
        Ok(rows)
    }

    /// Ends a sandbox; false when there was none.
    pub(crate) fn kill(&self, transport: &Transport, guard: &Guard<'_>, raw_id: &str) -> Result<bool> {
        self.delete(transport, guard, "kill sandbox", format!("/sandboxes/{}", escape(raw_id)))
    }

    /// Lets a sandbox live so many seconds from now.
    pub(crate) fn set_timeout(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        raw_id: &str,
        timeout: u32,
        time: Duration,
    ) -> Result<()> {
        const OPERATION: &str = "set time-out";
        let json = to_json(&Timeout { timeout })?;
        let ask = Ask {
            operation: OPERATION,
            repeat: Repeat::Harmless,
            method: "POST",
            target: format!("/sandboxes/{}/timeout", escape(raw_id)),
            json: Some(&json),
        };
        let answer = self.ask_within(transport, guard, ask, time).map_err(|trouble| trouble.error)?;
        expect_none(transport, OPERATION, &answer)
    }

    /// The newest figures of a sandbox; `None` while there are none.
    pub(crate) fn metric(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        raw_id: &str,
    ) -> Result<Option<Metric>> {
        const OPERATION: &str = "get metrics";
        let target = format!("/sandboxes/{}/metrics", escape(raw_id));
        let answer = self.get(transport, guard, OPERATION, target)?;
        let all: Vec<Metric> = expect_rows(transport, OPERATION, &answer)?;
        Ok(all.into_iter().max_by_key(|metric| metric.timestamp_unix))
    }

    /// The newest figures of several sandboxes, those that have any.
    pub(crate) fn metrics(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        raw_ids: &[&str],
    ) -> Result<Metrics> {
        const OPERATION: &str = "get metrics";
        let mut all = Metrics::default();
        for ids in raw_ids.chunks(METRICS_AT_ONCE) {
            let target = format!("/sandboxes/metrics{}", query(&[("sandbox_ids", Some(&ids.join(",")))]))
                .replace("%2C", ",");
            let answer = self.get(transport, guard, OPERATION, target)?;
            let some: Metrics = expect(transport, OPERATION, &answer)?;
            all.sandboxes.extend(some.sandboxes);
        }
        Ok(all)
    }

    /// Makes a snapshot; one of that name gets a new version.
    pub(crate) fn snapshot(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        raw_id: &str,
        name: &str,
    ) -> Result<Snapshot> {
        const OPERATION: &str = "create snapshot";
        let json = to_json(&NewSnapshot { name })?;
        let ask = Ask {
            operation: OPERATION,
            repeat: Repeat::Creates,
            method: "POST",
            target: format!("/sandboxes/{}/snapshots", escape(raw_id)),
            json: Some(&json),
        };
        let answer = self.ask(transport, guard, ask).map_err(|trouble| trouble.error)?;
        expect(transport, OPERATION, &answer)
    }

    /// The snapshots of the account.
    pub(crate) fn snapshots(&self, transport: &Transport, guard: &Guard<'_>) -> Result<Vec<Snapshot>> {
        self.pages(transport, guard, "list snapshots", "/snapshots")
    }

    /// The templates of the account.
    pub(crate) fn templates(&self, transport: &Transport, guard: &Guard<'_>) -> Result<Vec<Template>> {
        if !self.templates.is_old() {
            match self.pages(transport, guard, "list templates", "/v2/templates") {
                Err(error) if is_missing_route(&error) => {}
                other => return other,
            }
        }
        let answer = self.get(transport, guard, "list templates", "/templates".to_owned())?;
        let all = expect_rows(transport, "list templates", &answer)?;
        self.templates.remember_old();
        Ok(all)
    }

    /// The id of the template of that name; `None` when there is none.
    pub(crate) fn template_id(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        name: &str,
    ) -> Result<Option<String>> {
        const OPERATION: &str = "look up template";
        let answer = self.get(transport, guard, OPERATION, format!("/templates/aliases/{}", escape(name)))?;
        // 403 is the answer for a name that somebody else has.
        if matches!(answer.head.status, 403 | 404) {
            return Ok(None);
        }
        expect::<Alias>(transport, OPERATION, &answer).map(|alias| Some(alias.template_id))
    }

    /// Deletes a template; false when there was none.
    pub(crate) fn delete_template(&self, transport: &Transport, guard: &Guard<'_>, id: &str) -> Result<bool> {
        self.delete(transport, guard, "delete template", format!("/templates/{}", escape(id)))
    }

    /// Whether the API answers at all, within `time`.
    pub(crate) fn health(&self, transport: &Transport, guard: &Guard<'_>, time: Duration) -> Result<()> {
        const OPERATION: &str = "probe API";
        let call = Call {
            operation: OPERATION,
            layer: Layer::Control,
            repeat: Repeat::Creates,
            method: "GET",
            url: &self.url,
            target: "/health".to_owned(),
            headers: self.headers.clone(),
            payload: Payload::None,
            time: Some(time),
        };
        let answer = transport.fetch(call, guard).map_err(|trouble| trouble.error)?;
        expect_none(transport, OPERATION, &answer)
    }

    fn pages<T: DeserializeOwned>(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        operation: &'static str,
        path: &str,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        let mut pages = Pages::default();
        loop {
            let query = query(&[("limit", Some(PAGE)), ("nextToken", pages.token.as_deref())]);
            let answer = self.get(transport, guard, operation, format!("{path}{query}"))?;
            rows.extend(expect_rows::<T>(transport, operation, &answer)?);
            if !pages.go_on(transport, operation, &answer)? {
                return Ok(rows);
            }
        }
    }

    fn get(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        operation: &'static str,
        target: String,
    ) -> Result<Answer> {
        let ask = Ask { operation, repeat: Repeat::Harmless, method: "GET", target, json: None };
        self.ask(transport, guard, ask).map_err(|trouble| trouble.error)
    }

    fn delete(
        &self,
        transport: &Transport,
        guard: &Guard<'_>,
        operation: &'static str,
        target: String,
    ) -> Result<bool> {
        let ask = Ask { operation, repeat: Repeat::Harmless, method: "DELETE", target, json: None };
        let answer = self.ask(transport, guard, ask).map_err(|trouble| trouble.error)?;
        if answer.head.status == 404 {
            return Ok(false);
        }
        expect_none(transport, operation, &answer).map(|()| true)
    }
}

/// What this client calls itself.
pub(crate) fn user_agent() -> String {
    concat!("e2bridge/", env!("CARGO_PKG_VERSION")).to_owned()
}

/// True for the answer of a server that does not have the route.
fn is_missing_route(error: &Error) -> bool {
    error
        .context()
        .get("http_status")
        .and_then(serde_json::Value::as_u64)
        .is_some_and(|status| status == 404 || status == 405)
}

/// Where in a list of pages.
#[derive(Default)]
struct Pages {
    /// Of the next one.
    token: Option<String>,
    count: usize,
}

impl Pages {
    /// Whether there is another page. A list that repeats itself, or has no end, is an error: a part of it is not the list.
    fn go_on(&mut self, transport: &Transport, operation: &str, answer: &Answer) -> Result<bool> {
        let token = answer.head.header("x-next-token").filter(|token| !token.is_empty()).map(str::to_owned);
        self.count += 1;
        if token.is_some() && (token == self.token || self.count >= MAX_PAGES) {
            let why = format!("its pages have no end: {} were read", self.count);
            return Err(transport.unreadable(operation, why));
        }
        self.token = token;
        Ok(self.token.is_some())
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::internal(format!("a request has no JSON form: {error}")))
}

fn expect_none(transport: &Transport, operation: &str, answer: &Answer) -> Result<()> {
    if (200..300).contains(&answer.head.status) {
        Ok(())
    } else {
        Err(transport.refusal(Layer::Control, operation, &answer.head, &answer.body).error)
    }
}

/// An object. Serde would also take a list, for the fields in their order.
fn expect<T: DeserializeOwned>(transport: &Transport, operation: &str, answer: &Answer) -> Result<T> {
    expect_none(transport, operation, answer)?;
    if answer.body.trim_ascii_start().first() != Some(&b'{') {
        return Err(transport
            .unreadable(operation, "it is no JSON object")
            .with("http_status", answer.head.status));
    }
    read(transport, operation, answer)
}

fn expect_rows<T: DeserializeOwned>(
    transport: &Transport,
    operation: &str,
    answer: &Answer,
) -> Result<Vec<T>> {
    expect_none(transport, operation, answer)?;
    read(transport, operation, answer)
}

fn read<T: DeserializeOwned>(transport: &Transport, operation: &str, answer: &Answer) -> Result<T> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| transport.unreadable(operation, error).with("http_status", answer.head.status))
}
