//! The keys as JSON Schema, for editors.

use serde_json::{Map, Value, json};

use super::{FileKeys, Kind, Table, Times};

impl Kind {
    fn schema(self) -> Value {
        let numbers = || json!({"type": "array", "items": {"type": "number"}});
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Choice(all) => json!({"enum": all}),
            // `{seed}`, `name:severity` and paths may stand for a name as well.
            Self::Named(all) => json!({"type": "string", "examples": all()}),
            Self::Count => json!({"type": "integer", "minimum": 0}),
            Self::Number(low, high) => {
                let mut schema = Map::from_iter([("type".to_owned(), json!("number"))]);
                if low > f64::MIN {
                    schema.insert("minimum".to_owned(), json!(low));
                }
                if high < f64::MAX {
                    schema.insert("maximum".to_owned(), json!(high));
                }
                schema.into()
            }
            Self::Flag => json!({"type": "boolean"}),
            Self::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Self::Numbers => numbers(),
            Self::NumbersOrText => json!({"anyOf": [numbers(), {"type": "string"}]}),
            Self::Any => json!({}),
            Self::NumberOrNumbers => json!({"anyOf": [{"type": "number"}, numbers()]}),
        }
    }
}

impl FileKeys {
    /// The schema, draft 2020-12.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut schema = object(self.tables, "");
        let Value::Object(map) = &mut schema else { return schema };
        map.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".to_owned(), json!(format!("specbench {}", self.name)));
        map.insert("description".to_owned(), json!(self.summary));
        if self.name == "recipe" {
            // Many recipes in one file: what a method or the grid says counts for `[recipe]` or `[train]`, where it may then
            // be left out.
            let many = |properties: &mut Map<String, Value>| {
                properties.insert("method".to_owned(), json!({"type": "array", "items": {"type": "object"}}));
                properties.insert(
                    "grid".to_owned(),
                    json!({"type": "object", "additionalProperties": {"type": "array"}}),
                );
            };
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                many(properties);
                if let Some(Value::Object(head)) = properties.get_mut("recipe") {
                    head.remove("required");
                }
            }
        }
        schema
    }
}

/// The schema of a table's keys and of the tables within it.
fn object(tables: &[Table], within: &str) -> Value {
    let own = tables.iter().find(|t| t.path == within);
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    for key in own.iter().flat_map(|t| t.all()) {
        let mut schema = key.kind.schema();
        if let Value::Object(map) = &mut schema {
            map.insert("description".to_owned(), json!(key.summary));
        }
        properties.insert(key.name.to_owned(), schema);
        required.extend(key.default.is_none().then_some(key.name));
    }
    let mut others = json!(false);
    let inner = tables.iter().filter_map(|t| {
        if t.path == within {
            return None;
        }
        let rest =
            if within.is_empty() { Some(t.path) } else { t.path.strip_prefix(within)?.strip_prefix('.') };
        rest.map(|rest| (rest, t))
    });
    for (rest, table) in inner.collect::<Vec<_>>() {
        match rest {
            "*" => others = object(tables, table.path),
            // `split.*`: a table of tables.
            "split.*" => {
                let splits = json!({"type": "object", "additionalProperties": object(tables, table.path)});
                properties.insert("split".to_owned(), splits);
                required.push("split");
            }
            name if !name.contains(['.', '*']) => {
                let mut schema = object(tables, table.path);
                if let Value::Object(map) = &mut schema {
                    map.insert("description".to_owned(), json!(table.summary));
                }
                let schema = match table.times {
                    Times::Many => json!({"type": "array", "items": schema}),
                    Times::Once | Times::AtMostOnce => schema,
                };
                required.extend((table.times == Times::Once).then_some(name));
                properties.insert(name.to_owned(), schema);
            }
            _ => {}
        }
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.insert("additionalProperties".to_owned(), others);
    schema.into()
}
