//! Registries: one visible static list per extension point, with lookup and near-match advice.

/// What every registered item says of itself.
pub trait Named {
    /// The kebab-case name used in suite files.
    fn name(&self) -> &'static str;
    /// One line for `specbench list`.
    fn summary(&self) -> &'static str;
    /// The paper or program whose definition is followed.
    fn reference(&self) -> &'static str;
}

/// `Named` of a type whose values hold `name`, `summary` and `reference`.
macro_rules! named_by_fields {
    ($kind:ty) => {
        impl $crate::base::registry::Named for $kind {
            fn name(&self) -> &'static str {
                self.name
            }
            fn summary(&self) -> &'static str {
                self.summary
            }
            fn reference(&self) -> &'static str {
                self.reference
            }
        }
    };
}
pub(crate) use named_by_fields;

/// A static list of one kind of item.
pub struct Registry<T: ?Sized + 'static> {
    /// What the items are, in the singular ("metric").
    pub kind: &'static str,
    /// The items, sorted by name.
    pub items: &'static [&'static T],
}

impl<T: Named + ?Sized> Registry<T> {
    /// Finds an item by its exact name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static T> {
        self.items.iter().copied().find(|item| item.name() == name)
    }

    /// All names in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.items.iter().map(|item| item.name())
    }

    /// "unknown metric `tpo1`; did you mean `top1`?", or the list of what is known.
    #[must_use]
    pub fn unknown(&self, name: &str) -> (String, String) {
        (format!("unknown {} `{name}`", self.kind), advice(name, self.names()))
    }
}

/// The known name closest to `name`, if it is close enough to be a slip of the keyboard.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .filter(|(distance, k)| *distance <= 3.min(k.len().div_ceil(2)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// Advice for a name that is not known.
#[must_use]
pub fn advice<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None if known.is_empty() => "none is known".to_owned(),
        None if known.len() <= MANY => format!("known: {}", known.join(", ")),
        None => {
            let mut alike: Vec<(f64, &str)> =
                known.iter().map(|k| (strsim::jaro_winkler(name, k), *k)).collect();
            alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
            let first: Vec<&str> = alike.iter().take(5).map(|a| a.1).collect();
            format!("the most alike of {}: {}", known.len(), first.join(", "))
        }
    }
}

/// More known names than this are not all listed.
const MANY: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_listed() {
        let known = ["wise-ft", "slerp"];
        assert_eq!(advice("wiseft", known), "did you mean `wise-ft`?");
        assert_eq!(advice("dare-ties", known), "known: wise-ft, slerp");
        assert_eq!(nearest("ab", ["xyzabc"]), None);
        let many: Vec<String> = (0..20).map(|i| format!("data-set-number-{i}")).collect();
        let text = advice("emoji", many.iter().map(String::as_str).chain(["emoji-with-a-long-name"]));
        assert!(text.starts_with("the most alike of 21: emoji-with-a-long-name, "), "{text}");
    }
}
