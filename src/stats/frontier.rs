//! The Pareto frontier of (speciality, generality) points; both axes are to be large.

/// Which points no other point dominates. A point dominates another if it is at least as good on
/// both axes and better on one; equal points do not dominate each other.
#[must_use]
pub fn pareto(points: &[(f64, f64)]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    // From the best speciality down; among equals the best generality first.
    order.sort_by(|&a, &b| points[b].0.total_cmp(&points[a].0).then(points[b].1.total_cmp(&points[a].1)));
    let mut on = vec![false; points.len()];
    let mut best: Option<(f64, f64)> = None;
    for i in order {
        let (x, y) = points[i];
        on[i] = match best {
            None => true,
            Some((bx, by)) => y > by || (x == bx && y == by),
        };
        if on[i] {
            best = Some((x, y));
        }
    }
    on
}

/// Area dominated by the points above and to the right of `reference` (Zitzler and Thiele 1999),
/// in two dimensions. Points that do not exceed the reference on both axes add nothing.
#[must_use]
pub fn hypervolume(points: &[(f64, f64)], reference: (f64, f64)) -> f64 {
    let mut beyond: Vec<(f64, f64)> =
        points.iter().copied().filter(|p| p.0 > reference.0 && p.1 > reference.1).collect();
    beyond.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut area, mut height) = (0.0, reference.1);
    for (x, y) in beyond {
        if y > height {
            area += (x - reference.0) * (y - height);
            height = y;
        }
    }
    area
}

/// Whether one frontier lies above another: every point of `below` is dominated or equalled by a point of
/// `above`, and at least one is dominated (set dominance; Zitzler et al. 2003).
#[must_use]
pub fn lies_above(above: &[(f64, f64)], below: &[(f64, f64)]) -> bool {
    let covers = |q: &(f64, f64)| above.iter().any(|p| p.0 >= q.0 && p.1 >= q.1);
    let beats = |q: &(f64, f64)| above.iter().any(|p| p.0 >= q.0 && p.1 >= q.1 && (p.0 > q.0 || p.1 > q.1));
    !below.is_empty() && below.iter().all(covers) && below.iter().any(beats)
}

/// The best generality that a frontier reaches at a speciality of at least `x`; between two neighbouring points of
/// the frontier, on the line between them. `None` beyond its best speciality.
#[must_use]
pub fn height_at(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let on = pareto(points);
    let mut front: Vec<(f64, f64)> = points.iter().zip(on).filter(|(_, on)| *on).map(|(p, _)| *p).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let right = front.iter().position(|p| p.0 >= x)?;
    let (x1, y1) = front[right];
    let Some((x0, y0)) = right.checked_sub(1).map(|left| front[left]) else { return Some(y1) };
    Some(if x1 > x0 { y0 + (y1 - y0) * (x - x0) / (x1 - x0) } else { y1 })
}

/// Harmonic mean of two values; 0 if either is not positive.
#[must_use]
pub fn harmonic_mean(a: f64, b: f64) -> f64 {
    if a <= 0.0 || b <= 0.0 { 0.0 } else { 2.0 * a * b / (a + b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frontier_by_hand() {
        let points = [(0.1, 0.9), (0.5, 0.5), (0.4, 0.4), (0.9, 0.1), (0.5, 0.5), (0.5, 0.2)];
        assert_eq!(pareto(&points), [true, true, false, true, true, false]);
    }

    #[test]
    fn hypervolume_by_hand() {
        // Two overlapping rectangles 2 x 1 and 1 x 2 from the origin: 2 + 2 - 1.
        assert_eq!(hypervolume(&[(2.0, 1.0), (1.0, 2.0)], (0.0, 0.0)), 3.0);
        assert_eq!(hypervolume(&[(2.0, 1.0), (1.0, 0.5)], (0.0, 0.0)), 2.0);
        assert_eq!(hypervolume(&[(0.5, 3.0)], (1.0, 0.0)), 0.0);
    }

    #[test]
    fn one_frontier_above_another() {
        let low = [(0.2, 0.8), (0.8, 0.2)];
        assert!(lies_above(&[(0.3, 0.8), (0.8, 0.3)], &low) && !lies_above(&low, &low));
        assert!(!lies_above(&[(0.9, 0.9 - 0.75)], &low) && lies_above(&[(0.9, 0.9)], &low));
        assert!(!lies_above(&[(0.9, 0.9)], &[]));
    }

    #[test]
    fn heights_between_points_are_on_the_line() {
        let points = [(0.2, 0.8), (0.6, 0.4), (0.5, 0.1)];
        assert_eq!(height_at(&points, 0.1), Some(0.8));
        assert!((height_at(&points, 0.4).unwrap() - 0.6).abs() < 1e-12);
        assert_eq!(height_at(&points, 0.6), Some(0.4));
        assert_eq!(height_at(&points, 0.7), None);
    }

    #[test]
    fn harmonic_mean_of_a_published_row() {
        // CLIP on eleven sets, base 69.34 and novel 74.22: H = 71.70 (KgCoOp's README).
        assert!((harmonic_mean(69.34, 74.22) - 71.70).abs() < 0.005);
        assert_eq!(harmonic_mean(0.0, 0.5), 0.0);
    }

    proptest! {
        #[test]
        fn a_point_is_on_the_frontier_unless_dominated(
            points in prop::collection::vec((0u8..8, 0u8..8), 1..12)
        ) {
            let points: Vec<(f64, f64)> =
                points.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).collect();
            let on = pareto(&points);
            for (i, p) in points.iter().enumerate() {
                let dominated = points
                    .iter()
                    .any(|q| q.0 >= p.0 && q.1 >= p.1 && (q.0 > p.0 || q.1 > p.1));
                prop_assert_eq!(on[i], !dominated);
            }
        }

        #[test]
        fn dominated_points_add_no_volume(points in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 1..12)) {
            let on = pareto(&points);
            let front: Vec<_> = points.iter().zip(&on).filter(|(_, on)| **on).map(|(p, _)| *p).collect();
            let (all, some) = (hypervolume(&points, (0.0, 0.0)), hypervolume(&front, (0.0, 0.0)));
            prop_assert!((all - some).abs() < 1e-12);
        }
    }
}
