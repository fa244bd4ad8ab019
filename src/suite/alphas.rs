//! Alpha grids: `"start:stop:step"` or a list.

use std::ops::RangeInclusive;

/// Parses `start:stop:step`, both ends included. Values are rounded to 10 decimals, so that
/// `0:1:0.1` gives 0.3 and not 0.30000000000000004.
pub fn parse_grid(text: &str) -> Result<Vec<f64>, String> {
    let parts: Vec<f64> = text
        .split(':')
        .map(|p| p.trim().parse::<f64>().map_err(|_| format!("`{p}` is not a number")))
        .collect::<Result<_, _>>()?;
    let [start, stop, step] = parts[..] else {
        return Err("an alpha grid is written `start:stop:step`".to_owned());
    };
    if !(step > 0.0 && stop >= start && stop.is_finite()) {
        return Err("an alpha grid needs start <= stop and step > 0".to_owned());
    }
    let count = ((stop - start) / step + 1e-9).floor() as usize;
    if count > 10_000 {
        return Err(format!("{count} alphas are too many"));
    }
    Ok((0..=count).map(|i| ((start + i as f64 * step) * 1e10).round() / 1e10).collect())
}

/// Sorts, removes repetitions, and names the first value outside the range.
pub fn check_grid(mut alphas: Vec<f64>, range: &RangeInclusive<f64>) -> Result<Vec<f64>, String> {
    if let Some(bad) = alphas.iter().find(|a| !range.contains(a)) {
        return Err(format!("alpha {bad} is outside {} to {}", range.start(), range.end()));
    }
    if alphas.is_empty() {
        return Err("the list of alphas is empty".to_owned());
    }
    alphas.sort_by(f64::total_cmp);
    alphas.dedup();
    Ok(alphas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids() {
        let grid = parse_grid("0:1:0.1").unwrap();
        assert_eq!(grid.len(), 11);
        assert_eq!((grid[3], grid[7], grid[10]), (0.3, 0.7, 1.0));
        assert_eq!(parse_grid("0.2:0.5:0.2").unwrap(), [0.2, 0.4]);
        assert!(parse_grid("0:1").is_err() && parse_grid("0:1:0").is_err() && parse_grid("a:1:1").is_err());
    }

    #[test]
    fn ranges() {
        assert_eq!(check_grid(vec![0.5, 0.0, 0.5], &(0.0..=1.0)).unwrap(), [0.0, 0.5]);
        assert!(check_grid(vec![1.5], &(0.0..=1.0)).unwrap_err().contains("alpha 1.5"));
        assert!(check_grid(vec![f64::NAN], &(0.0..=1.0)).is_err());
    }
}
