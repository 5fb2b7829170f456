//! Parts of documents that are answered again and again.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A value and its JSON, which is made once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Prepared<T>(Arc<Both<T>>);

#[derive(Debug)]
struct Both<T> {
    value: T,
    /// `None` when it has no JSON form: then whoever writes the document gets the error.
    json: Option<Box<RawValue>>,
}

impl<T: Serialize> From<T> for Prepared<T> {
    fn from(value: T) -> Self {
        let json = serde_json::value::to_raw_value(&value).ok();
        Self(Arc::new(Both { value, json }))
    }
}

impl<T: PartialEq> PartialEq for Prepared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.value == other.0.value
    }
}

impl<T> Deref for Prepared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Serialize> Serialize for Prepared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.json {
            Some(json) => json.serialize(serializer),
            None => self.0.value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_json_is_that_of_the_value() {
        #[derive(Serialize)]
        struct Document {
            part: Prepared<Vec<String>>,
        }
        let part = Prepared::from(vec!["a \"b\"".to_owned(), "é".to_owned()]);
        assert_eq!(part.len(), 2);
        let plain = serde_json::to_string(&*part).unwrap();
        let document = serde_json::to_string(&Document { part: part.clone() }).unwrap();
        assert_eq!(document, format!("{{\"part\":{plain}}}"));
    }
}
