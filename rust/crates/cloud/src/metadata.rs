//! What a sandbox carries about itself, so that any process with the same account finds it again.

use std::collections::BTreeMap;

use crate::wire::api::Detail;

/// Marks a sandbox as one of ours.
pub(crate) const MARK: &str = "e2bridge";
/// Value of the mark.
pub(crate) const MARKED: &str = "1";
pub(crate) const NAME: &str = "e2bridge_name";
pub(crate) const TEMPLATE: &str = "e2bridge_template";
pub(crate) const TIMEOUT: &str = "e2bridge_timeout";
/// Names the request that made it: by it a sandbox is found whose making was not answered.
pub(crate) const REQUEST: &str = "e2bridge_request";
pub(crate) const DEPLOYMENT: &str = "e2bridge_deployment";
pub(crate) const CATEGORY: &str = "e2bridge_category";
pub(crate) const INSTANCE: &str = "e2bridge_instance";
pub(crate) const CONFIGURATION: &str = "e2bridge_configuration";

/// The value of a key; empty when it is absent.
pub(crate) fn value<'a>(detail: &'a Detail, key: &str) -> &'a str {
    detail.metadata.as_ref().and_then(|all| all.get(key)).map_or("", String::as_str)
}

/// What every sandbox carries.
pub(crate) fn of(name: &str, template: &str, timeout: u32, request: &str) -> BTreeMap<String, String> {
    [(MARK, MARKED), (NAME, name), (TEMPLATE, template), (TIMEOUT, &timeout.to_string()), (REQUEST, request)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
