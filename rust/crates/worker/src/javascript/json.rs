//! The JSON form of a JavaScript value: what `JSON.stringify` would write, without going through anything that a script can
//! replace, and refused where that would lose something (`NaN`, an `undefined` in an array) or where it grows out of hand.

use rquickjs::{Array, Ctx, Filter, Function, Object, Value};

use super::{array_length, class_name, text};

/// Deepest nesting: every reader of the reply goes along with that.
const MAX_DEPTH: usize = 100;

/// JSON text of at most `limit` bytes, or `None` when there is no such form. May run code of the script (getters, `toJSON`,
/// traps of proxies); what that throws is swallowed.
pub(super) fn stringify<'js>(ctx: &Ctx<'js>, value: &Value<'js>, limit: usize) -> Option<String> {
    let mut writer = Writer { ctx: ctx.clone(), out: String::new(), limit };
    writer.value(value.clone(), 0).is_some().then_some(writer.out)
}

struct Writer<'js> {
    ctx: Ctx<'js>,
    out: String,
    limit: usize,
}

impl<'js> Writer<'js> {
    fn push(&mut self, added: &str) -> Option<()> {
        (self.out.len() + added.len() <= self.limit).then(|| self.out.push_str(added))
    }

    fn string(&mut self, added: &str) -> Option<()> {
        let quoted = serde_json::to_string(added).ok()?;
        self.push(&quoted)
    }

    /// The value, or the pending exception thrown away.
    fn caught<T>(&self, result: rquickjs::Result<T>) -> Option<T> {
        if result.is_err() {
            drop(self.ctx.catch());
        }
        result.ok()
    }

    fn value(&mut self, value: Value<'js>, depth: usize) -> Option<()> {
        if let Some(flag) = value.as_bool() {
            return self.push(if flag { "true" } else { "false" });
        }
        if value.is_null() {
            return self.push("null");
        }
        if let Some(number) = value.as_number() {
            if !number.is_finite() {
                return None;
            }
            let text = if number == 0.0 { "0".to_owned() } else { text::of_primitive(&self.ctx, &value)? };
            return self.push(&text);
        }
        if value.is_string() {
            let text = text::of_primitive(&self.ctx, &value)?;
            return self.string(&text);
        }
        if !value.is_object() || value.is_function() || depth >= MAX_DEPTH {
            return None;
        }
        self.object(value.into_object()?, depth)
    }

    fn object(&mut self, object: Object<'js>, depth: usize) -> Option<()> {
        let to_json: Value<'js> = self.caught(object.get("toJSON"))?;
        if let Some(to_json) = to_json.into_function() {
            let plain: Value<'js> = self.caught(to_json.call((rquickjs::function::This(object), "")))?;
            // What toJSON returns is not asked again.
            return match plain.as_object() {
                Some(plain) if !plain.is_function() => self.members(plain.clone(), depth),
                _ => self.value(plain, depth),
            };
        }
        self.members(object, depth)
    }

    fn members(&mut self, object: Object<'js>, depth: usize) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        match class_name(&self.ctx, object.as_value()).as_str() {
            "Number" | "String" | "Boolean" => return self.boxed(object, depth),
            "BigInt" | "Symbol" => return None,
            _ => {}
        }
        if let Some(array) = object.as_array() {
            return self.array(array, depth);
        }
        self.push("{")?;
        let mut first = true;
        for key in object.own_keys::<String>(Filter::new().string().enum_only()) {
            let key = self.caught(key)?;
            let member: Value<'js> = self.caught(object.get(key.as_str()))?;
            if member.is_undefined() || member.is_function() || member.is_symbol() {
                continue;
            }
            if !first {
                self.push(",")?;
            }
            first = false;
            self.string(&key)?;
            self.push(":")?;
            self.value(member, depth + 1)?;
        }
        self.push("}")
    }

    fn array(&mut self, array: &Array<'js>, depth: usize) -> Option<()> {
        self.push("[")?;
        let length = array_length(&self.ctx, array.as_value());
        // Two bytes an element at least.
        if length > self.limit / 2 + 1 {
            return None;
        }
        for index in 0..length {
            if index > 0 {
                self.push(",")?;
            }
            let element: Value<'js> = self.caught(array.get(index))?;
            self.value(element, depth + 1)?;
        }
        self.push("]")
    }

    fn boxed(&mut self, object: Object<'js>, depth: usize) -> Option<()> {
        let value_of: Function<'js> = self.caught(object.get("valueOf"))?;
        let inner: Value<'js> = self.caught(value_of.call((rquickjs::function::This(object),)))?;
        if inner.is_object() { None } else { self.value(inner, depth) }
    }
}
