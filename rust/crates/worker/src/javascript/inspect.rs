//! Values as text, formatted as Node's `util.inspect` does with its defaults. No code of the script runs: properties are read
//! as they are stored, getters are shown as such, proxies are shown as their targets.

use std::fmt::Write as _;

use rquickjs::{Ctx, Value, qjs};

use super::realm::Intrinsics;
use super::{array_length, class_name, text};

const BREAK_LENGTH: usize = 80;
/// Longest chain of prototypes or proxies that is followed.
const MAX_CHAIN: usize = 100;
const MAX_DEPTH: usize = 2;
const MAX_ARRAY: usize = 100;
const MAX_STRING: usize = 10_000;
/// Levels that may share a line.
const COMPACT: usize = 3;
/// Elements beyond which an array is not searched for properties that are no elements.
const MAX_SEARCHED: usize = 10_000;
/// Formatting stops soon after this many bytes.
const BUDGET: usize = 8 * 1024 * 1024;

/// How `console.log` shows a value on its own: a string as it is, everything else inspected.
pub(super) fn display<'js>(ctx: &Ctx<'js>, intrinsics: &Intrinsics, value: &Value<'js>) -> String {
    if value.is_string() {
        text::of_primitive(ctx, value).unwrap_or_default()
    } else {
        inspect(ctx, intrinsics, value)
    }
}

/// The value as Node would echo it.
pub(super) fn inspect<'js>(ctx: &Ctx<'js>, intrinsics: &Intrinsics, value: &Value<'js>) -> String {
    inspect_to_depth(ctx, intrinsics, value, MAX_DEPTH)
}

/// As [`inspect`], but so many levels deep.
pub(super) fn inspect_to_depth<'js>(
    ctx: &Ctx<'js>,
    intrinsics: &Intrinsics,
    value: &Value<'js>,
    max_depth: usize,
) -> String {
    Inspector {
        ctx,
        intrinsics,
        seen: Vec::new(),
        circular: Vec::new(),
        current_depth: 0,
        indentation: 0,
        max_depth,
        spent: 0,
    }
    .value(value, 0, true)
}

/// A name, quoted unless it is a plain identifier.
fn key_text(name: &str) -> String {
    let mut characters = name.chars();
    let plain = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_');
    if plain { name.to_owned() } else { quoted(name) }
}

/// In single quotes, or in the first of the other two that needs no escape.
fn quoted(text: &str) -> String {
    let quote = if !text.contains('\'') {
        '\''
    } else if !text.contains('"') {
        '"'
    } else if !text.contains('`') && !text.contains("${") {
        '`'
    } else {
        '\''
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '\0'..' ' | '\u{7f}'..='\u{9f}' => {
                let _ = write!(out, "\\x{:02X}", u32::from(character));
            }
            _ if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            _ => out.push(character),
        }
    }
    out.push(quote);
    out
}

/// Width in columns, near enough: characters.
fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// A property key, owned.
struct Key<'js> {
    ctx: Ctx<'js>,
    atom: qjs::JSAtom,
}

impl<'js> Key<'js> {
    fn of_name(ctx: &Ctx<'js>, name: &str) -> Key<'js> {
        // SAFETY: the context is alive; pointer and length describe `name`.
        let atom =
            unsafe { qjs::JS_NewAtomLen(ctx.as_raw().as_ptr(), name.as_ptr().cast(), name.len() as _) };
        Key { ctx: ctx.clone(), atom }
    }

    /// With a reference of its own to an atom that is alive.
    fn of_atom(ctx: &Ctx<'js>, atom: qjs::JSAtom) -> Key<'js> {
        // SAFETY: the context is alive and so is the atom, by this function's rule.
        let atom = unsafe { qjs::JS_DupAtom(ctx.as_raw().as_ptr(), atom) };
        Key { ctx: ctx.clone(), atom }
    }

    fn of_index(ctx: &Ctx<'js>, index: u32) -> Key<'js> {
        // SAFETY: the context is alive.
        let atom = unsafe { qjs::JS_NewAtomUInt32(ctx.as_raw().as_ptr(), index) };
        Key { ctx: ctx.clone(), atom }
    }

    /// The string or symbol.
    fn value(&self) -> Value<'js> {
        // SAFETY: the context and the atom are alive; the answer is a reference of our own.
        unsafe {
            Value::from_raw(self.ctx.clone(), qjs::JS_AtomToValue(self.ctx.as_raw().as_ptr(), self.atom))
        }
    }

    /// Integers are tagged in the highest bit.
    fn index(&self) -> Option<u32> {
        (self.atom & (1 << 31) != 0).then_some(self.atom & !(1 << 31))
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        // SAFETY: the context is alive, and the atom is owned and freed once.
        unsafe { qjs::JS_FreeAtom(self.ctx.as_raw().as_ptr(), self.atom) };
    }
}

/// A property as it is stored.
struct Stored<'js> {
    value: Value<'js>,
    getter: bool,
    setter: bool,
}

struct Inspector<'a, 'js> {
    ctx: &'a Ctx<'js>,
    intrinsics: &'a Intrinsics,
    /// Objects being formatted, outermost first.
    seen: Vec<Value<'js>>,
    /// Objects that were met inside themselves, in order.
    circular: Vec<Value<'js>>,
    current_depth: usize,
    indentation: usize,
    max_depth: usize,
    spent: usize,
}

impl<'js> Inspector<'_, 'js> {
    fn value(&mut self, value: &Value<'js>, depth: usize, typed: bool) -> String {
        let text = self.unmetered(value, depth, typed);
        self.spent += text.len();
        text
    }

    fn unmetered(&mut self, value: &Value<'js>, depth: usize, typed: bool) -> String {
        if value.is_undefined() {
            return "undefined".to_owned();
        }
        if value.is_string() {
            let text = text::of_primitive(self.ctx, value).unwrap_or_default();
            return self.string(&text);
        }
        if value.is_symbol() {
            return self.symbol(value);
        }
        if value.is_object() {
            return self.object(value, depth, typed);
        }
        if value.as_float().is_some_and(|number| number == 0.0 && number.is_sign_negative()) {
            return "-0".to_owned();
        }
        let mut text = text::of_primitive(self.ctx, value).unwrap_or_default();
        if value.is_big_int() {
            text.push('n');
        }
        text
    }

    fn string(&self, text: &str) -> String {
        let count = text.encode_utf16().count();
        let (text, trailer) = if count > MAX_STRING {
            let head: String = text.chars().take(MAX_STRING).collect();
            let more = count - MAX_STRING;
            (head, format!("... {more} more character{}", if more == 1 { "" } else { "s" }))
        } else {
            (text.to_owned(), String::new())
        };
        // A long string of several lines is shown as a sum of its lines.
        if text.len() > 16 && text.len() > BREAK_LENGTH.saturating_sub(self.indentation + 4) {
            let lines: Vec<String> = text.split_inclusive('\n').map(quoted).collect();
            if lines.len() > 1 {
                return lines.join(&format!(" +\n{}", " ".repeat(self.indentation + 2))) + &trailer;
            }
        }
        quoted(&text) + &trailer
    }

    fn symbol(&self, value: &Value<'js>) -> String {
        let description = value.as_symbol().and_then(|symbol| symbol.description().ok());
        let text = description.and_then(|description| {
            text::of_primitive(self.ctx, &description).filter(|_| description.is_string())
        });
        format!("Symbol({})", text.unwrap_or_default())
    }

    /// The own property as it is stored, without running a getter. Not to be called with a proxy.
    fn stored(&self, object: &Value<'js>, key: &Key<'js>) -> Option<(Stored<'js>, bool)> {
        let raw = self.ctx.as_raw().as_ptr();
        let mut descriptor = qjs::JSPropertyDescriptor {
            flags: 0,
            value: qjs::JS_UNDEFINED,
            getter: qjs::JS_UNDEFINED,
            setter: qjs::JS_UNDEFINED,
        };
        // SAFETY: the context is alive, `object` is an object of its runtime, the key is alive, `descriptor` is valid for writes.
        let found = unsafe { qjs::JS_GetOwnProperty(raw, &raw mut descriptor, object.as_raw(), key.atom) };
        if found <= 0 {
            if found < 0 {
                drop(self.ctx.catch());
            }
            return None;
        }
        let own = |value| {
            // SAFETY: JS_GetOwnProperty gave a reference of our own for each of the three values, wrapped once.
            unsafe { Value::from_raw(self.ctx.clone(), value) }
        };
        let (value, getter, setter) = (own(descriptor.value), own(descriptor.getter), own(descriptor.setter));
        let enumerable = descriptor.flags & i32::try_from(qjs::JS_PROP_ENUMERABLE).unwrap_or(0) != 0;
        Some((Stored { value, getter: getter.is_function(), setter: setter.is_function() }, enumerable))
    }

    /// The own data property of that name.
    fn data(&self, object: &Value<'js>, name: &str) -> Option<Value<'js>> {
        let stored = self.stored(object, &Key::of_name(self.ctx, name));
        stored.filter(|(stored, _)| !stored.getter && !stored.setter).map(|(stored, _)| stored.value)
    }

    fn data_text(&self, object: &Value<'js>, name: &str) -> Option<String> {
        self.data(object, name)
            .filter(Value::is_string)
            .and_then(|value| text::of_primitive(self.ctx, &value))
    }

    fn prototype(&self, object: &Value<'js>) -> Option<Value<'js>> {
        let raw = self.ctx.as_raw().as_ptr();
        // SAFETY: the context is alive and `object` is an object of its runtime and no proxy; the answer is a reference of our own.
        let value = unsafe { Value::from_raw(self.ctx.clone(), qjs::JS_GetPrototype(raw, object.as_raw())) };
        if value.is_exception() {
            drop(self.ctx.catch());
        }
        value.is_object().then_some(value)
    }

    /// Name of the constructor as the prototype chain stores it, or none when there is no prototype.
    fn constructor_name(&self, object: &Value<'js>) -> Option<String> {
        let mut current = Some(object.clone());
        for _ in 0..MAX_CHAIN {
            let value = current?;
            if value.is_proxy() {
                return Some("Object".to_owned());
            }
            if let Some(constructor) = self.data(&value, "constructor")
                && constructor.is_function()
                && !constructor.is_proxy()
                && let Some(name) = self.data_text(&constructor, "name")
                && !name.is_empty()
            {
                return Some(name);
            }
            current = self.prototype(&value);
        }
        None
    }

    /// `Symbol.toStringTag` as the prototype chain stores it.
    fn tag(&self, object: &Value<'js>) -> Option<String> {
        let key = Key::of_atom(self.ctx, qjs::JS_ATOM_Symbol_toStringTag as qjs::JSAtom);
        let mut current = Some(object.clone());
        for _ in 0..MAX_CHAIN {
            let value = current.filter(|value| !value.is_proxy())?;
            if let Some((stored, enumerable)) = self.stored(&value, &key) {
                // An enumerable one of its own is shown among the properties.
                if enumerable && value == *object {
                    return None;
                }
                return text::of_primitive(self.ctx, &stored.value)
                    .filter(|tag| stored.value.is_string() && !tag.is_empty());
            }
            current = self.prototype(&value);
        }
        None
    }

    /// Enumerable own properties: strings, then symbols. Indices are left away on demand.
    fn keys(&self, object: &Value<'js>, without_indices: bool) -> Vec<Key<'js>> {
        let raw = self.ctx.as_raw().as_ptr();
        let mut table = std::ptr::null_mut();
        let mut count = 0;
        let flags = qjs::JS_GPN_STRING_MASK | qjs::JS_GPN_SYMBOL_MASK | qjs::JS_GPN_ENUM_ONLY;
        // SAFETY: the context is alive, `object` is an object of its runtime, both out-parameters are valid for writes.
        let failed = unsafe {
            qjs::JS_GetOwnPropertyNames(raw, &raw mut table, &raw mut count, object.as_raw(), flags as _)
        };
        if failed < 0 {
            drop(self.ctx.catch());
            return Vec::new();
        }
        let mut keys = Vec::new();
        for index in 0..count as usize {
            // SAFETY: the engine answered `count` entries; the reference added belongs to the key.
            let atom = unsafe { qjs::JS_DupAtom(raw, (*table.add(index)).atom) };
            let key = Key { ctx: self.ctx.clone(), atom };
            if !without_indices || key.index().is_none() {
                keys.push(key);
            }
        }
        // SAFETY: the table came from JS_GetOwnPropertyNames and is freed once, with its length.
        unsafe { qjs::JS_FreePropertyEnum(raw, table, count) };
        keys
    }

    fn object(&mut self, value: &Value<'js>, depth: usize, typed: bool) -> String {
        // A proxy is shown as its target; it may be one itself.
        let mut value = value.clone();
        for _ in 0..MAX_CHAIN {
            let Some(proxy) = value.as_proxy() else { break };
            let Ok(target) = proxy.target() else {
                drop(self.ctx.catch());
                return "<Revoked Proxy>".to_owned();
            };
            value = target.into_value();
        }
        if value.is_proxy() {
            return "[Object]".to_owned();
        }
        if self.seen.contains(&value) {
            let index = self.circular.iter().position(|one| *one == value).unwrap_or_else(|| {
                self.circular.push(value.clone());
                self.circular.len() - 1
            });
            return format!("[Circular *{}]", index + 1);
        }
        if self.spent > BUDGET {
            return "...".to_owned();
        }
        self.seen.push(value.clone());
        let text = self.shape(&value, depth, typed);
        self.seen.pop();
        match self.circular.iter().position(|one| *one == value) {
            Some(index) => format!("<ref *{}> {text}", index + 1),
            None => text,
        }
    }

    fn shape(&mut self, value: &Value<'js>, depth: usize, typed: bool) -> String {
        let class = class_name(self.ctx, value);
        let constructor = self.constructor_name(value);
        let tag = self.tag(value).filter(|tag| Some(tag) != constructor.as_ref());
        let indices = class == "Array" || class == "String" || is_typed_array(&class);
        let length = if indices { self.length(value) } else { 0 };
        let keys = if length <= MAX_SEARCHED { self.keys(value, indices) } else { Vec::new() };
        // `Name(size) [tag] `, as far as it says more than the brackets do.
        let prefix = |fallback: &str, size: Option<usize>| {
            let size = size.map_or_else(String::new, |size| format!("({size})"));
            let name = match &constructor {
                Some(name) => format!("{name}{size} "),
                None => format!("[{fallback}{size}: null prototype] "),
            };
            match &tag {
                Some(tag) => format!("{name}[{tag}] "),
                None => name,
            }
        };
        let short = self.is_short(value, &class, length, keys.is_empty());
        if depth > self.max_depth && !short {
            return match class.as_str() {
                "Array" => "[Array]".to_owned(),
                _ => format!(
                    "[{}]",
                    prefix("Object", None).trim_end().trim_start_matches('[').trim_end_matches(']')
                ),
            };
        }
        if !short {
            self.current_depth = depth;
        }
        let mut entries = Vec::new();
        let mut base = String::new();
        let mut braces = (String::from("{"), "}");
        let mut array = false;
        match class.as_str() {
            "Array" => {
                array = true;
                let named = constructor.as_deref() != Some("Array") || tag.is_some();
                braces = (if named { prefix("Array", Some(length)) + "[" } else { "[".to_owned() }, "]");
                if length == 0 && keys.is_empty() {
                    return format!("{}]", braces.0);
                }
                entries = self.elements(value, length, depth);
            }
            "Arguments" => braces.0 = "[Arguments] {".to_owned(),
            _ if is_typed_array(&class) => {
                array = true;
                braces = (prefix(&class, Some(length)) + "[", "]");
                if length == 0 && keys.is_empty() {
                    return format!("{}]", braces.0);
                }
                entries = self.elements(value, length, depth);
            }
            "Map" => {
                let members = self.intrinsics.map_entries(self.ctx, value);
                braces.0 = prefix("Map", Some(members.0)) + "{";
                self.indentation += 2;
                for (key, member) in &members.1 {
                    let key = self.value(key, depth + 1, true);
                    let member = self.value(member, depth + 1, true);
                    entries.push(format!("{key} => {member}"));
                }
                self.indentation -= 2;
                self.more(&mut entries, members.0, members.1.len());
            }
            "Set" => {
                let members = self.intrinsics.set_members(self.ctx, value);
                braces.0 = prefix("Set", Some(members.0)) + "{";
                self.indentation += 2;
                for member in &members.1 {
                    let member = self.value(member, depth + 1, true);
                    entries.push(member);
                }
                self.indentation -= 2;
                self.more(&mut entries, members.0, members.1.len());
            }
            "WeakSet" | "WeakMap" => {
                braces.0 = prefix(&class, None) + "{";
                entries.push("<items unknown>".to_owned());
            }
            "Promise" => {
                braces.0 = prefix("Promise", None) + "{";
                entries.push(self.promise(value, depth));
            }
            "ArrayBuffer" | "SharedArrayBuffer" => {
                braces.0 = prefix(&class, None) + "{";
                entries = self.buffer(value);
            }
            "Date" => base = self.intrinsics.date_text(self.ctx, value),
            "RegExp" => base = self.intrinsics.regexp_text(self.ctx, value),
            "Error" => base = self.error(value),
            "Number" | "Boolean" | "Symbol" | "BigInt" | "String" => {
                let inner = self.intrinsics.unboxed(self.ctx, value, &class);
                let shown = inner.map_or_else(String::new, |inner| match class.as_str() {
                    "String" => quoted(&text::of_primitive(self.ctx, &inner).unwrap_or_default()),
                    _ => self.value(&inner, depth, true),
                });
                let name = if constructor.as_deref() == Some(&class) {
                    String::new()
                } else {
                    format!(" ({})", constructor.as_deref().unwrap_or("null prototype"))
                };
                base = format!("[{class}{name}: {shown}]");
            }
            _ if value.is_function() => base = self.function(value, constructor.as_deref(), tag.as_deref()),
            _ => {
                let plain = constructor.as_deref() == Some("Object") && tag.is_none();
                if !plain {
                    braces.0 = prefix("Object", None) + "{";
                }
                if keys.is_empty() {
                    return format!("{}}}", braces.0);
                }
            }
        }
        if !base.is_empty() && keys.is_empty() {
            return base;
        }
        let hidden: &[&str] = if class == "Error" { &["stack", "message"] } else { &[] };
        for key in &keys {
            if self.spent > BUDGET {
                entries.push("...".to_owned());
                break;
            }
            let Some((stored, _)) = self.stored(value, key) else { continue };
            let name = key.value();
            let name = if name.is_symbol() {
                format!("[{}]", self.symbol(&name))
            } else {
                let name = text::of_primitive(self.ctx, &name).unwrap_or_default();
                if hidden.contains(&name.as_str()) {
                    continue;
                }
                key_text(&name)
            };
            let shown = self.property(&stored, depth);
            entries.push(format!("{name}: {shown}"));
        }
        if class == "Error" {
            if let Some(cause) = self.data(value, "cause").filter(|_| {
                !keys.iter().any(|key| text::of_primitive(self.ctx, &key.value()).as_deref() == Some("cause"))
            }) {
                let shown = self.nested(&cause, depth);
                entries.push(format!("[cause]: {shown}"));
            }
            if entries.is_empty() {
                return base;
            }
        }
        if entries.is_empty() {
            return if base.is_empty() { format!("{}{}", braces.0, braces.1) } else { base };
        }
        let _ = typed;
        self.join(entries, &base, &braces, array.then_some(value), depth)
    }

    /// True for what is shown without looking into anything: it is shown at any depth.
    fn is_short(&self, value: &Value<'js>, class: &str, length: usize, no_keys: bool) -> bool {
        no_keys
            && match class {
                "Array" => length == 0,
                "Map" => self.intrinsics.map_entries(self.ctx, value).0 == 0,
                "Set" => self.intrinsics.set_members(self.ctx, value).0 == 0,
                "WeakMap" | "WeakSet" | "Promise" | "ArrayBuffer" | "SharedArrayBuffer" | "DataView" => false,
                class if is_typed_array(class) => length == 0,
                _ => true,
            }
    }

    fn nested(&mut self, value: &Value<'js>, depth: usize) -> String {
        self.indentation += 2;
        let text = self.value(value, depth + 1, false);
        self.indentation -= 2;
        text
    }

    fn property(&mut self, stored: &Stored<'js>, depth: usize) -> String {
        match (stored.getter, stored.setter) {
            (true, true) => "[Getter/Setter]".to_owned(),
            (true, false) => "[Getter]".to_owned(),
            (false, true) => "[Setter]".to_owned(),
            (false, false) => self.nested(&stored.value, depth),
        }
    }

    fn more(&self, entries: &mut Vec<String>, total: usize, shown: usize) {
        if total > shown {
            let more = total - shown;
            entries.push(format!("... {more} more item{}", if more == 1 { "" } else { "s" }));
        }
    }

    /// Length of an array, a typed array or a string object.
    fn length(&self, value: &Value<'js>) -> usize {
        let raw = self.ctx.as_raw().as_ptr();
        if value.is_array() {
            return array_length(self.ctx, value);
        }
        let (mut bytes, mut each) = (0, 0);
        // SAFETY: the context is alive, the out-parameters are valid; anything but a typed array is an exception.
        let buffer = unsafe {
            let mut offset = 0;
            let buffer = qjs::JS_GetTypedArrayBuffer(
                raw,
                value.as_raw(),
                &raw mut offset,
                &raw mut bytes,
                &raw mut each,
            );
            Value::from_raw(self.ctx.clone(), buffer)
        };
        if buffer.is_exception() || each == 0 {
            drop(self.ctx.catch());
            let stored = self.data(value, "length").and_then(|length| length.as_int());
            return stored.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        }
        usize::try_from(bytes / each).unwrap_or(0)
    }

    fn elements(&mut self, value: &Value<'js>, length: usize, depth: usize) -> Vec<String> {
        let mut entries = Vec::new();
        let mut index = 0;
        let mut present: Option<Vec<u32>> = None;
        while index < length && entries.len() < MAX_ARRAY && self.spent <= BUDGET {
            let Ok(at) = u32::try_from(index) else { break };
            if let Some((stored, _)) = self.stored(value, &Key::of_index(self.ctx, at)) {
                let shown = self.property(&stored, depth);
                entries.push(shown);
                index += 1;
                continue;
            }
            // A hole: it ends at the next index that is there.
            let present = present
                .get_or_insert_with(|| self.keys(value, false).iter().filter_map(Key::index).collect());
            let next = present.iter().find(|one| **one > at).map_or(length, |one| *one as usize);
            let count = next - index;
            entries.push(format!("<{count} empty item{}>", if count == 1 { "" } else { "s" }));
            index = next;
        }
        self.more(&mut entries, length, index);
        entries
    }

    fn promise(&mut self, value: &Value<'js>, depth: usize) -> String {
        let raw = self.ctx.as_raw().as_ptr();
        // SAFETY: the context is alive and the value an object of its runtime.
        let state = unsafe { qjs::JS_PromiseState(raw, value.as_raw()) };
        let rejected = match state {
            qjs::JSPromiseStateEnum_JS_PROMISE_FULFILLED => false,
            qjs::JSPromiseStateEnum_JS_PROMISE_REJECTED => true,
            _ => return "<pending>".to_owned(),
        };
        // SAFETY: as above; the answer is a reference of our own.
        let result = unsafe { Value::from_raw(self.ctx.clone(), qjs::JS_PromiseResult(raw, value.as_raw())) };
        let shown = self.nested(&result, depth);
        if rejected { format!("<rejected> {shown}") } else { shown }
    }

    fn buffer(&self, value: &Value<'js>) -> Vec<String> {
        const SHOWN: usize = 50;
        let mut length = 0;
        // SAFETY: the context is alive; anything but an attached buffer is answered by null and an exception.
        let bytes =
            unsafe { qjs::JS_GetArrayBuffer(self.ctx.as_raw().as_ptr(), &raw mut length, value.as_raw()) };
        let length = usize::try_from(length).unwrap_or(0);
        if bytes.is_null() && self.ctx.has_exception() {
            drop(self.ctx.catch());
            return vec!["(detached)".to_owned(), "byteLength: 0".to_owned()];
        }
        let mut contents = Vec::new();
        for index in 0..length.min(SHOWN) {
            // SAFETY: within the `length` bytes of the buffer, which no script changes meanwhile.
            contents.push(format!("{:02x}", unsafe { *bytes.add(index) }));
        }
        let mut contents = contents.join(" ");
        if length > SHOWN {
            let more = length - SHOWN;
            let _ = write!(contents, " ... {more} more byte{}", if more == 1 { "" } else { "s" });
        }
        vec![format!("[Uint8Contents]: <{contents}>"), format!("byteLength: {length}")]
    }

    fn error(&self, value: &Value<'js>) -> String {
        let text = error_text(
            &self.error_name(value),
            &self.data_text(value, "message").unwrap_or_default(),
            &self.data_text(value, "stack").unwrap_or_default(),
        );
        let text = if text.contains("\n    at ") { text } else { format!("[{text}]") };
        if self.indentation == 0 {
            return text;
        }
        text.replace('\n', &format!("\n{}", " ".repeat(self.indentation)))
    }

    fn error_name(&self, value: &Value<'js>) -> String {
        let mut current = Some(value.clone());
        for _ in 0..MAX_CHAIN {
            let Some(object) = current.filter(|object| !object.is_proxy()) else { break };
            if let Some(name) = self.data_text(&object, "name") {
                return name;
            }
            current = self.prototype(&object);
        }
        "Error".to_owned()
    }

    fn function(&self, value: &Value<'js>, constructor: Option<&str>, tag: Option<&str>) -> String {
        let name = self.data_text(value, "name").filter(|name| !name.is_empty());
        let source = self.intrinsics.function_source(self.ctx, value);
        if source.starts_with("class") && source.ends_with('}') {
            let mut text = format!("[class {}", name.as_deref().unwrap_or("(anonymous)"));
            let parent = self.prototype(value).and_then(|parent| self.data_text(&parent, "name"));
            match parent.filter(|parent| !parent.is_empty()) {
                Some(parent) => {
                    let _ = write!(text, " extends {parent}");
                }
                None if constructor.is_none() => text.push_str(" extends null"),
                None => {}
            }
            return text + "]";
        }
        let kind = constructor.unwrap_or("Function");
        let kind = if kind.ends_with("Function") { kind } else { "Function" };
        let mut text = match name {
            Some(name) => format!("[{kind}: {name}]"),
            None => format!("[{kind} (anonymous)]"),
        };
        if constructor.is_none() {
            text.push_str(" [null prototype]");
        }
        if let Some(tag) = tag.filter(|tag| *tag != kind) {
            let _ = write!(text, " [{tag}]");
        }
        text
    }

    /// On one line when it is short and shallow enough, else an entry a line.
    fn join(
        &self,
        mut entries: Vec<String>,
        base: &str,
        braces: &(String, &str),
        array: Option<&Value<'js>>,
        depth: usize,
    ) -> String {
        let count = entries.len();
        if let Some(array) = array
            && count > 6
        {
            entries = self.columns(entries, array);
        }
        let separator = if base.is_empty() { "" } else { " " };
        if self.current_depth - depth.min(self.current_depth) < COMPACT && entries.len() == count {
            let start = entries.len() + self.indentation + width(&braces.0) + width(base) + 10;
            let total: usize =
                entries.iter().map(|entry| width(entry)).sum::<usize>() + entries.len() + start;
            if total <= BREAK_LENGTH && !base.contains('\n') {
                let joined = entries.join(", ");
                if !joined.contains('\n') {
                    return format!("{base}{separator}{} {joined} {}", braces.0, braces.1);
                }
            }
        }
        let indent = format!("\n{}", " ".repeat(self.indentation));
        format!(
            "{base}{separator}{}{indent}  {}{indent}{}",
            braces.0,
            entries.join(&format!(",{indent}  ")),
            braces.1
        )
    }

    /// Elements of a longer array side by side, in columns.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small counts"
    )]
    fn columns(&self, entries: Vec<String>, array: &Value<'js>) -> Vec<String> {
        let has_more =
            self.length(array) > MAX_ARRAY && entries.last().is_some_and(|last| last.starts_with("... "));
        let shown = entries.len() - usize::from(has_more);
        let widths: Vec<usize> = entries[..shown].iter().map(|entry| width(entry)).collect();
        let total: usize = widths.iter().map(|width| width + 2).sum();
        let max = widths.iter().copied().max().unwrap_or(0);
        let actual = max + 2;
        if actual * 3 + self.indentation >= BREAK_LENGTH || (total as f64 / actual as f64 <= 5.0 && max > 6) {
            return entries;
        }
        let bias = (actual as f64 - total as f64 / entries.len() as f64).sqrt();
        let biased = (actual as f64 - 3.0 - bias).max(1.0);
        let columns = ((2.5 * biased * shown as f64).sqrt() / biased).round() as usize;
        let columns = columns.min((BREAK_LENGTH - self.indentation) / actual).min(COMPACT * 4).min(15);
        if columns <= 1 {
            return entries;
        }
        let column_widths: Vec<usize> = (0..columns)
            .map(|column| widths.iter().skip(column).step_by(columns).copied().max().unwrap_or(0) + 2)
            .collect();
        let numbers = (0..entries.len().min(self.length(array))).all(|index| {
            let index = u32::try_from(index).unwrap_or(0);
            self.stored(array, &Key::of_index(self.ctx, index))
                .is_some_and(|(stored, _)| stored.value.is_number() || stored.value.is_big_int())
        });
        let mut rows = Vec::new();
        for start in (0..shown).step_by(columns) {
            let end = (start + columns).min(shown);
            let mut row = String::new();
            for index in start..end {
                let last = index + 1 == end;
                let cell = if last { entries[index].clone() } else { format!("{}, ", entries[index]) };
                let room = column_widths[index - start] - if last { 2 } else { 0 };
                let padding = " ".repeat(room.saturating_sub(width(&cell)));
                match (numbers, last) {
                    (true, _) => row.extend([padding, cell]),
                    (false, false) => row.extend([cell, padding]),
                    (false, true) => row.push_str(&cell),
                }
            }
            rows.push(row);
        }
        if has_more {
            rows.extend(entries.into_iter().next_back());
        }
        rows
    }
}

/// `name: message` and the stack below it; the engine's stacks do not repeat the message.
pub(super) fn error_text(name: &str, message: &str, stack: &str) -> String {
    let head = match (name, message) {
        (name, "") => name.to_owned(),
        ("", message) => message.to_owned(),
        (name, message) => format!("{name}: {message}"),
    };
    let stack = stack.trim_end_matches('\n');
    if stack.is_empty() { head } else { format!("{head}\n{stack}") }
}

fn is_typed_array(class: &str) -> bool {
    class.ends_with("Array") && (class.contains("int") || class.contains("Int") || class.contains("Float"))
}
