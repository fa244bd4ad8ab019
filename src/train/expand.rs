//! Many recipes in one file: `[[method]]`, and a `[grid]` of settings and seeds.
//!
//! Every value keeps its place in the file, so that what is wrong with a recipe is shown where it was written.

use std::borrow::Cow;

use serde::Deserialize;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};
use toml::{Spanned, Table};

/// Keys of a method or of the grid that belong to `[recipe]`; all others belong to `[train]`.
const OF_RECIPE: [&str; 8] = ["id", "method", "out", "from", "finetuned", "seed", "classes", "store"];
/// Lists of tables to which a method may add.
const LISTS: [&str; 4] = ["data", "term", "update", "group"];
/// Values of `[recipe]` in which `{key}` stands for a setting.
const FILLED: [&str; 4] = ["id", "out", "from", "finetuned"];

/// A key, and where it stands.
type Key<'a> = Spanned<Cow<'a, str>>;

/// One recipe of a file.
pub struct Expanded<'a> {
    /// Its values, where they stand in the file.
    pub table: DeTable<'a>,
    /// Its own text.
    pub text: String,
}

/// Every recipe of a file with this text; its own text if it is one recipe.
pub fn expand<'a>(whole: &DeTable<'a>, text: &str) -> Result<Vec<Expanded<'a>>, String> {
    let mut whole = whole.clone();
    let grid = whole.remove("grid");
    let methods = whole.remove("method");
    if grid.is_none() && methods.is_none() {
        return Ok(vec![Expanded { table: whole, text: text.to_owned() }]);
    }
    let methods = tables("method", methods)?;
    let settings = combinations(grid)?;
    let mut all: Vec<(String, Expanded<'a>)> = Vec::new();
    for method in &methods {
        for setting in &settings {
            let table = recipe(&whole, method, setting)?;
            let head = table.get("recipe").and_then(|r| r.get_ref().get("out"));
            let out = head.and_then(|out| out.get_ref().as_str()).unwrap_or_default().to_owned();
            if all.iter().any(|(other, _)| *other == out) {
                return Err(format!(
                    "two recipes write `{out}`; name what differs in `out`, such as `{{id}}-{{seed}}`"
                ));
            }
            let text = toml::to_string(&plain(&table)?).map_err(|e| e.to_string())?;
            all.push((out, Expanded { table, text }));
        }
    }
    Ok(all.into_iter().map(|a| a.1).collect())
}

/// A table without places.
fn plain(table: &DeTable<'_>) -> Result<Table, String> {
    Table::deserialize(Deserializer::from(Spanned::new(0..0, table.clone()))).map_err(|e| e.to_string())
}

fn tables<'a>(key: &str, value: Option<Spanned<DeValue<'a>>>) -> Result<Vec<DeTable<'a>>, String> {
    let mistake = || format!("`{key}` must be a list of tables (`[[{key}]]`)");
    match value.map(Spanned::into_inner) {
        None => Ok(vec![DeTable::new()]),
        Some(DeValue::Array(all)) => all
            .into_iter()
            .map(|one| match one.into_inner() {
                DeValue::Table(table) => Ok(table),
                _ => Err(mistake()),
            })
            .collect(),
        Some(_) => Err(mistake()),
    }
}

/// Every combination of the grid's values, the last key changing first.
fn combinations<'a>(grid: Option<Spanned<DeValue<'a>>>) -> Result<Vec<DeTable<'a>>, String> {
    let Some(grid) = grid else { return Ok(vec![DeTable::new()]) };
    let DeValue::Table(grid) = grid.into_inner() else {
        return Err("`grid` must be a table of lists".to_owned());
    };
    let mut all = vec![DeTable::new()];
    for (key, values) in grid {
        let DeValue::Array(values) = values.into_inner() else {
            return Err(format!("`grid.{}` must be a list", key.get_ref()));
        };
        let with = |(one, value): (&DeTable<'a>, &Spanned<DeValue<'a>>)| {
            let mut one = one.clone();
            one.insert(key.clone(), value.clone());
            one
        };
        all = all.iter().flat_map(|one| values.iter().map(move |v| with((one, v)))).collect();
    }
    Ok(all)
}

/// Sets a key, which then stands where it stands now.
fn set<'a>(table: &mut DeTable<'a>, key: &Key<'a>, value: &Spanned<DeValue<'a>>) {
    table.remove(key.get_ref().as_ref());
    table.insert(key.clone(), value.clone());
}

fn recipe<'a>(
    whole: &DeTable<'a>,
    method: &DeTable<'a>,
    setting: &DeTable<'a>,
) -> Result<DeTable<'a>, String> {
    let mut one = whole.clone();
    let mut named = DeTable::new();
    for (key, value) in method.iter().chain(setting) {
        let name = key.get_ref().as_ref();
        let list = LISTS.into_iter().find(|list| *list == name);
        let section = list.unwrap_or(if OF_RECIPE.contains(&name) { "recipe" } else { "train" });
        let empty = match list {
            Some(_) => DeValue::Array(DeArray::new()),
            None => DeValue::Table(DeTable::new()),
        };
        let place = Spanned::new(key.span(), Cow::Borrowed(section));
        let known = one.entry(place).or_insert_with(|| Spanned::new(key.span(), empty));
        match (known.get_mut(), value.get_ref()) {
            (DeValue::Array(all), DeValue::Array(more)) if list.is_some() => {
                more.iter().for_each(|one| all.push(one.clone()));
            }
            (DeValue::Table(table), _) if list.is_none() => {
                set(&mut named, key, value);
                set(table, key, value);
            }
            _ if list.is_some() => return Err(format!("`{name}` must be a list of tables (`[[{name}]]`)")),
            _ => return Err(format!("`{section}` must be a table")),
        }
    }
    if let Some(DeValue::Table(head)) = one.get_mut("recipe").map(Spanned::get_mut) {
        if !method.contains_key("id")
            && !method.is_empty()
            && let Some((key, name)) = head.get_key_value("method")
        {
            let (key, name) = (Spanned::new(key.span(), Cow::Borrowed("id")), name.clone());
            set(head, &key, &name);
        }
        for (key, value) in head.iter().filter(|(key, _)| !FILLED[1..].contains(&key.get_ref().as_ref())) {
            set(&mut named, key, value);
        }
        let named = plain(&named)?;
        for key in FILLED {
            if let Some(DeValue::String(text)) = head.get_mut(key).map(Spanned::get_mut) {
                let mut filled = text.to_string();
                for (name, value) in &named {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    filled = filled.replace(&format!("{{{name}}}"), &value);
                }
                *text = filled.into();
            }
        }
    }
    Ok(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Vec<String>, String> {
        let whole = DeTable::parse(text).unwrap();
        Ok(expand(whole.get_ref(), text)?.into_iter().map(|one| one.text).collect())
    }

    const FILE: &str = "[recipe]\nfrom = \"zs\"\nout = \"made/{id}-{seed}\"\n[train]\nlr = 0.1\n[[data]]\ndataset = \"d\"\n\
        [grid]\nseed = [1, 2]\n[[method]]\nmethod = \"full\"\n[[method]]\nid = \"weak\"\nmethod = \"l2-sp\"\npenalty = 0.5\n\
        [[method.term]]\nkind = \"kd-kl\"\n";

    #[test]
    fn methods_times_grid() {
        let all = expanded(FILE).unwrap();
        let read: Vec<Table> = all.iter().map(|t| t.parse().unwrap()).collect();
        let out = |t: &Table| t["recipe"]["out"].as_str().unwrap().to_owned();
        let outs: Vec<String> = read.iter().map(out).collect();
        assert_eq!(outs, ["made/full-1", "made/full-2", "made/weak-1", "made/weak-2"]);
        assert_eq!(read[2]["train"]["penalty"].as_float(), Some(0.5));
        assert_eq!(read[2]["train"]["lr"].as_float(), Some(0.1));
        assert_eq!(read[3]["recipe"]["seed"].as_integer(), Some(2));
        assert!(read[2].contains_key("term") && !read[0].contains_key("term"));
    }

    #[test]
    fn one_recipe_stays_as_it_is_and_clashes_are_said() {
        assert_eq!(expanded("# mine\n[recipe]\n").unwrap(), ["# mine\n[recipe]\n"]);
        let clash = FILE.replace("-{seed}", "");
        assert!(expanded(&clash).unwrap_err().contains("two recipes write `made/full`"));
        assert!(expanded("grid = 3\n").unwrap_err().contains("table of lists"));
    }
    #[test]
    fn every_value_stands_where_it_was_written() {
        let whole = DeTable::parse(FILE).unwrap();
        let all = expand(whole.get_ref(), FILE).unwrap();
        let at = |i: usize, section: &str, key: &str| {
            let section = all[i].table[section].get_ref().as_table().unwrap();
            let (key, value) = section.get_key_value(key).unwrap();
            format!("{} = {}", &FILE[key.span()], &FILE[value.span()])
        };
        assert_eq!(at(3, "recipe", "method"), "method = \"l2-sp\"");
        assert_eq!(at(3, "recipe", "seed"), "seed = 2");
        assert_eq!(at(2, "train", "penalty"), "penalty = 0.5");
        assert_eq!(at(0, "train", "lr"), "lr = 0.1");
        assert_eq!(at(0, "recipe", "id"), "method = \"full\"");
    }
}
