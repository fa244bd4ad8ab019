//! Many recipes in one file: `[[method]]`, and a `[grid]` of settings and seeds.

use toml::{Table, Value};

/// Keys of a method or of the grid that belong to `[recipe]`; all others belong to `[train]`.
const OF_RECIPE: [&str; 8] = ["id", "method", "out", "from", "finetuned", "seed", "classes", "store"];
/// Lists of tables to which a method may add.
const LISTS: [&str; 3] = ["data", "term", "update"];
/// Values of `[recipe]` in which `{key}` stands for a setting.
const FILLED: [&str; 4] = ["id", "out", "from", "finetuned"];

/// The text of every recipe of a file; its own text if it is one recipe.
pub fn expand(text: &str) -> Result<Vec<String>, String> {
    // Mistakes of syntax are told better when the recipe is read.
    let Ok(mut whole) = text.parse::<Table>() else { return Ok(vec![text.to_owned()]) };
    let grid = whole.remove("grid");
    let methods = whole.remove("method");
    if grid.is_none() && methods.is_none() {
        return Ok(vec![text.to_owned()]);
    }
    let methods = tables("method", methods)?;
    let settings = combinations(grid)?;
    let mut all: Vec<(String, String)> = Vec::new();
    for method in &methods {
        for setting in &settings {
            let one = recipe(&whole, method, setting)?;
            let out =
                one.get("recipe").and_then(|r| r.get("out")).and_then(Value::as_str).unwrap_or_default();
            if let Some((other, _)) = all.iter().find(|(other, _)| other == out) {
                return Err(format!(
                    "two recipes write `{other}`; name what differs in `out`, such as `{{id}}-{{seed}}`"
                ));
            }
            all.push((out.to_owned(), toml::to_string(&one).map_err(|e| e.to_string())?));
        }
    }
    Ok(all.into_iter().map(|a| a.1).collect())
}

fn tables(key: &str, value: Option<Value>) -> Result<Vec<Table>, String> {
    match value {
        None => Ok(vec![Table::new()]),
        Some(Value::Array(all)) if all.iter().all(Value::is_table) => {
            Ok(all.into_iter().filter_map(|v| v.try_into().ok()).collect())
        }
        Some(_) => Err(format!("`{key}` must be a list of tables (`[[{key}]]`)")),
    }
}

/// Every combination of the grid's values, the last key changing first.
fn combinations(grid: Option<Value>) -> Result<Vec<Table>, String> {
    let Some(grid) = grid else { return Ok(vec![Table::new()]) };
    let Value::Table(grid) = grid else { return Err("`grid` must be a table of lists".to_owned()) };
    let mut all = vec![Table::new()];
    for (key, values) in grid {
        let Value::Array(values) = values else { return Err(format!("`grid.{key}` must be a list")) };
        let with = |(one, value): (&Table, &Value)| {
            let mut one = one.clone();
            one.insert(key.clone(), value.clone());
            one
        };
        all = all.iter().flat_map(|one| values.iter().map(move |v| with((one, v)))).collect();
    }
    Ok(all)
}

fn recipe(whole: &Table, method: &Table, setting: &Table) -> Result<Table, String> {
    let mut one = whole.clone();
    let mut named = Table::new();
    for (key, value) in method.iter().chain(setting) {
        if LISTS.contains(&key.as_str()) {
            let list = one.entry(key.as_str()).or_insert_with(|| Value::Array(Vec::new()));
            if let (Value::Array(list), Value::Array(more)) = (list, value) {
                list.extend(more.iter().cloned());
            }
            continue;
        }
        named.insert(key.clone(), value.clone());
        let section = if OF_RECIPE.contains(&key.as_str()) { "recipe" } else { "train" };
        let table = one.entry(section).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(table) = table else { return Err(format!("`{section}` must be a table")) };
        table.insert(key.clone(), value.clone());
    }
    if let Some(Value::Table(head)) = one.get_mut("recipe") {
        if !method.contains_key("id")
            && let Some(name) = head.get("method").cloned()
            && !method.is_empty()
        {
            head.insert("id".to_owned(), name);
        }
        named.extend(
            head.iter()
                .filter(|(k, _)| !FILLED[1..].contains(&k.as_str()))
                .map(|(k, v)| (k.clone(), v.clone())),
        );
        for key in FILLED {
            if let Some(Value::String(text)) = head.get_mut(key) {
                for (name, value) in &named {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    *text = text.replace(&format!("{{{name}}}"), &value);
                }
            }
        }
    }
    Ok(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[recipe]\nfrom = \"zs\"\nout = \"made/{id}-{seed}\"\n[train]\nlr = 0.1\n[[data]]\ndataset = \"d\"\n\
        [grid]\nseed = [1, 2]\n[[method]]\nmethod = \"full\"\n[[method]]\nid = \"weak\"\nmethod = \"l2-sp\"\npenalty = 0.5\n\
        [[method.term]]\nkind = \"kd-kl\"\n";

    #[test]
    fn methods_times_grid() {
        let all = expand(FILE).unwrap();
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
        assert_eq!(expand("# mine\n[recipe]\n").unwrap(), ["# mine\n[recipe]\n"]);
        let clash = FILE.replace("-{seed}", "");
        assert!(expand(&clash).unwrap_err().contains("two recipes write `made/full`"));
        assert!(expand("grid = 3\n").unwrap_err().contains("table of lists"));
    }
}
