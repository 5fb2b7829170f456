//! Templates of the cluster: the built-in names, the account's own, and snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use e2bridge_core::document::{TemplateDeleted, TemplateExported, TemplateList, TemplateSummary};
use e2bridge_core::request::{BuiltinTemplate, ExportTemplate, Language, quote};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Code, Error, Result};

use crate::client::Client;
use crate::http::guard::Guard;
use crate::status::stamp;

/// Most snapshots whose id is looked up one by one in a list.
const MAX_LOOKUPS: usize = 100;

/// `export_e2b_template`: a snapshot of the whole sandbox.
///
/// # Errors
/// `NOT_FOUND` for the sandbox; those of the API.
pub(crate) fn export(
    client: &Arc<Client>,
    request: &ExportTemplate,
    token: &CancelToken,
) -> Result<TemplateExported> {
    let interrupt = client.transport.watch(token)?;
    let guard = client.guard(&interrupt);
    let known = client.find(&request.sandbox_id, &guard)?;
    let name = &request.template_name;
    let (transport, control) = (&client.transport, &client.control);
    let replaced = control.template_id(transport, &guard, name)?.is_some();
    let snapshot = control.snapshot(transport, &guard, &known.access.raw_id, name).map_err(|error| {
        if error.code() == Code::NotFound { client.gone_or(&known, error) } else { error }
    })?;
    let id = match template_of(&snapshot.snapshot_id) {
        Some(id) => id.to_owned(),
        // Of a named snapshot only the name is answered.
        None => control.template_id(transport, &guard, name)?.ok_or_else(|| {
            Error::new(
                Code::Unavailable,
                format!(
                    "the cluster made the snapshot {} and does not know its name",
                    quote(&snapshot.snapshot_id)
                ),
            )
        })?,
    };
    Ok(TemplateExported {
        template_id: format!("tpl_{id}"),
        template_name: name.clone(),
        sandbox_id: Some(known.id()),
        status: "exported".to_owned(),
        base_template: known.template(),
        // A snapshot is of everything, whatever was asked for.
        include_data: true,
        entries: 0,
        size_bytes: 0,
        replaced,
        timestamp: now(),
    })
}

/// The raw id in the id of a snapshot without a name: `abc123:default`.
fn template_of(snapshot_id: &str) -> Option<&str> {
    let id = snapshot_id.split(':').next().unwrap_or_default();
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// The name alone of `team/name:tag`.
fn short_name(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.split(':').next().unwrap_or(name)
}

/// `list_e2b_templates`.
///
/// # Errors
/// Those of the API.
pub(crate) fn list(client: &Arc<Client>) -> Result<TemplateList> {
    let guard = client.plain_guard();
    guard.check()?;
    let (transport, control) = (&client.transport, &client.control);
    let mut found: BTreeMap<String, TemplateSummary> = BTreeMap::new();
    for template in control.templates(transport, &guard)? {
        let name = template.names.iter().chain(&template.aliases).map(|name| short_name(name)).next();
        // By a built-in name another template is reached, by its id this one.
        let name = name.filter(|name| BuiltinTemplate::from_name(name).is_none()).map(str::to_owned);
        let name = name.unwrap_or_else(|| format!("tpl_{}", template.template_id));
        let ready =
            template.build_status.as_deref().is_none_or(|status| status == "ready" || status == "uploaded");
        let mut summary = own(&name, Some(&template.template_id), template.created_at.as_deref());
        if !ready {
            summary.available = false;
            summary.reason = Some(format!("its build is {}", template.build_status.unwrap_or_default()));
        }
        found.insert(name, summary);
    }
    let mut lookups = 0;
    for snapshot in control.snapshots(transport, &guard)? {
        let name = snapshot.names.first().map_or(snapshot.snapshot_id.as_str(), String::as_str);
        let name = short_name(name).to_owned();
        if found.contains_key(&name) {
            continue;
        }
        let id = match template_of(&snapshot.snapshot_id) {
            Some(id) => Some(id.to_owned()),
            None if lookups < MAX_LOOKUPS => {
                lookups += 1;
                control.template_id(transport, &guard, &name)?
            }
            None => None,
        };
        found.insert(name.clone(), own(&name, id.as_deref(), None));
    }
    // What a built-in name means at the cluster is no template beside it.
    let built_in = BuiltinTemplate::ALL.into_iter().map(|template| TemplateSummary {
        template_name: template.name().to_owned(),
        template_id: None,
        built_in: true,
        base_template: template.name().to_owned(),
        languages: names(template.languages()),
        available: true,
        reason: None,
        size_bytes: 0,
        created_at: None,
    });
    let templates: Vec<TemplateSummary> = built_in.chain(found.into_values()).collect();
    Ok(TemplateList { total_count: templates.len(), templates, timestamp: now() })
}

fn own(name: &str, id: Option<&str>, created_at: Option<&str>) -> TemplateSummary {
    TemplateSummary {
        template_name: name.to_owned(),
        template_id: id.map(|id| format!("tpl_{id}")),
        built_in: false,
        // What is below it, the cluster does not say.
        base_template: name.to_owned(),
        languages: names(&[Language::JavaScript, Language::Python, Language::Shell]),
        available: true,
        reason: None,
        size_bytes: 0,
        created_at: created_at.map(stamp),
    }
}

fn names(languages: &[Language]) -> Vec<String> {
    languages.iter().map(|language| language.name().to_owned()).collect()
}

/// `delete_e2b_template`.
///
/// # Errors
/// `PERMISSION_DENIED` for a built-in one; `NOT_FOUND`; those of the API.
pub(crate) fn delete(client: &Arc<Client>, template_name: &str) -> Result<TemplateDeleted> {
    let guard = client.plain_guard();
    guard.check()?;
    if BuiltinTemplate::from_name(template_name).is_some() {
        return Err(Error::new(
            Code::PermissionDenied,
            format!("template_name: {template_name} is built in and cannot be deleted"),
        )
        .about("template_name"));
    }
    let id = match template_name.strip_prefix("tpl_") {
        Some(id) => Some(id.to_owned()),
        None => client.control.template_id(&client.transport, &guard, template_name)?,
    };
    let missing = || {
        Error::not_found(
            "template_name",
            format!("template_name: there is no exported template {}", quote(template_name)),
        )
    };
    let id = id.ok_or_else(missing)?;
    if !delete_by_id(client, &guard, &id)? {
        return Err(missing());
    }
    Ok(TemplateDeleted {
        template_id: format!("tpl_{id}"),
        template_name: template_name.to_owned(),
        status: "deleted".to_owned(),
        timestamp: now(),
    })
}

fn delete_by_id(client: &Client, guard: &Guard<'_>, id: &str) -> Result<bool> {
    client.control.delete_template(&client.transport, guard, id)
}

/// The error of both functions between templates and files.
pub(crate) fn no_files() -> Error {
    Error::new(
        Code::Unsupported,
        "the cluster gives no template out as a file and takes none in; templates of the local engine and of a cluster cannot be exchanged",
    )
    .about("file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_of_snapshots_are_told_apart() {
        assert_eq!(template_of("abc123:default"), Some("abc123"));
        assert_eq!(template_of("abc123"), Some("abc123"));
        assert_eq!(template_of("team/mine:default"), None);
        assert_eq!(template_of(""), None);
        assert_eq!(short_name("team/mine:v2"), "mine");
        assert_eq!(short_name("mine"), "mine");
    }
}
