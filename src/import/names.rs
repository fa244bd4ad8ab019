//! Names of variants and probes that become folders, and alphas in names.

/// A name as a folder can have it.
pub fn plain(name: &str) -> String {
    let keep = |c: char| if c.is_alphanumeric() || "-_.@+".contains(c) { c } else { '-' };
    let text: String = name.chars().map(keep).collect();
    let text = text.trim_matches(['-', '.']).to_owned();
    if text.is_empty() { "model".to_owned() } else { text }
}

/// The curve and the alpha in a name: `medical@0.3`, `medical_alpha0.3`, `medical-alpha=0.30`.
pub fn alpha(name: &str) -> Option<(String, f64)> {
    let lower = name.to_lowercase();
    let (curve, number) = match lower.rfind("alpha") {
        Some(at) => (&name[..at], &name[at + 5..]),
        None => name.rsplit_once('@')?,
    };
    let value: f64 = number.trim_start_matches(['=', '_', '-']).parse().ok()?;
    let curve = curve.trim_end_matches(['_', '-', '@', '/', '.']);
    ((0.0..=1.0).contains(&value) && !curve.is_empty()).then(|| (curve.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_alphas() {
        assert_eq!(plain("wds/imagenet v2"), "wds-imagenet-v2");
        assert_eq!(plain("/models/base/"), "models-base");
        assert_eq!(alpha("medical@0.3"), Some(("medical".to_owned(), 0.3)));
        assert_eq!(alpha("medical_alpha0.30"), Some(("medical".to_owned(), 0.3)));
        assert_eq!(alpha("ft-alpha=1"), Some(("ft".to_owned(), 1.0)));
        assert_eq!(alpha("alphafold"), None);
        assert_eq!(alpha("medical@2"), None);
    }
}
