//! The metrics. To add one, write a file with a `Metric` and list it here.

mod brier;
mod ece;
mod kept_mean;
mod kept_ratio;
mod loss;
mod mean_per_class;
mod top1;
mod top5;

use super::Metric;
use crate::base::registry::Registry;

/// All metrics.
pub static METRICS: Registry<dyn Metric> = Registry {
    kind: "metric",
    items: &[
        &kept_mean::ACC,
        &kept_mean::ACC_BYTES,
        &kept_mean::ACC_MUTUAL,
        &kept_mean::ACC_NORM,
        &kept_ratio::BITS_PER_BYTE,
        &brier::Brier,
        &kept_ratio::BYTE_PERPLEXITY,
        &ece::Ece,
        &kept_mean::EXACT_MATCH,
        &kept_mean::F1,
        &kept_ratio::INST_LOOSE,
        &kept_ratio::INST_STRICT,
        &kept_ratio::INVERSE_PERPLEXITY,
        &loss::Loss,
        &mean_per_class::MeanPerClass,
        &kept_ratio::PERPLEXITY,
        &kept_mean::PROMPT_LOOSE,
        &kept_mean::PROMPT_STRICT,
        &kept_mean::ROUGE_L,
        &kept_ratio::TOKEN_LOSS,
        &top1::Top1,
        &top5::Top5,
        &kept_ratio::WORD_PERPLEXITY,
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Columns;
    use crate::stats::Estimator;

    /// Five examples of three classes; worked out by hand in each assertion below.
    fn sample() -> Columns {
        Columns {
            label: vec![0, 0, 1, 1, 1],
            prediction: vec![0, 1, 1, 1, 2],
            in_top5: vec![true, true, true, true, false],
            loss: vec![0.5, 1.0, 0.25, 0.25, 3.0],
            confidence: vec![0.5, 0.5, 1.0, 1.0, 0.75],
            classes: 6,
            numbers: [
                "acc",
                "acc_bytes",
                "acc_mutual_info",
                "acc_norm",
                "exact_match",
                "f1",
                "rougeL",
                "prompt_strict",
                "prompt_loose",
            ]
            .into_iter()
            .map(|n| (n.to_owned(), vec![1.0, 0.0, 1.0, 1.0, 0.0]))
            .chain([
                ("nats".to_owned(), vec![2.0, 4.0, 6.0, 0.0, 8.0]),
                ("tokens".to_owned(), vec![1.0, 2.0, 3.0, 1.0, 3.0]),
                ("words".to_owned(), vec![1.0; 5]),
                ("bytes".to_owned(), vec![4.0; 5]),
                ("followed_strict".to_owned(), vec![1.0, 0.0, 2.0, 0.0, 1.0]),
                ("followed_loose".to_owned(), vec![1.0, 1.0, 2.0, 0.0, 1.0]),
                ("instructions".to_owned(), vec![1.0, 1.0, 2.0, 1.0, 3.0]),
            ])
            .collect(),
        }
    }

    const OF_CHOICES: [&str; 6] = ["brier", "ece", "loss", "mean-per-class", "top1", "top5"];

    fn value(name: &str, columns: &Columns) -> Option<f64> {
        METRICS.get(name).unwrap().form(columns).map(|f| Estimator::new(f).value())
    }

    #[test]
    fn by_hand() {
        let columns = sample();
        assert_eq!(value("top1", &columns), Some(3.0 / 5.0));
        assert_eq!(value("top5", &columns), Some(4.0 / 5.0));
        let recall = value("mean-per-class", &columns).unwrap();
        assert!((recall - f64::midpoint(1.0 / 2.0, 2.0 / 3.0)).abs() < 1e-15);
        assert_eq!(value("loss", &columns), Some(1.0));
        // (0.25 + 0.25 + 0 + 0 + 0.5625) / 5, and |0| + |0| + |-0.75| over five.
        assert_eq!(value("brier", &columns), Some(1.0625 / 5.0));
        assert_eq!(value("ece", &columns), Some(0.75 / 5.0));
        assert_eq!(value("acc_norm", &columns), Some(3.0 / 5.0));
        let close = |name: &str, right: f64| {
            assert!((value(name, &columns).unwrap() - right).abs() < 1e-12, "{name}");
        };
        close("token_loss", 2.0);
        close("inverse_perplexity", (-2.0f64).exp());
        close("perplexity", 4.0f64.exp());
        close("word_perplexity", 4.0f64.exp());
        close("byte_perplexity", 1.0f64.exp());
        close("bits_per_byte", 1.0 / std::f64::consts::LN_2);
        close("inst_level_strict_acc", 4.0 / 8.0);
    }

    #[test]
    fn undefined_is_not_a_number() {
        for metric in METRICS.items {
            assert!(metric.form(&Columns::default()).is_none(), "{}", metric.name());
        }
        let few = Columns { classes: 4, ..sample() };
        assert!(value("top5", &few).is_none());
    }

    #[test]
    fn order_of_examples_does_not_matter() {
        let columns = sample();
        let reversed = Columns {
            label: columns.label.iter().rev().copied().collect(),
            prediction: columns.prediction.iter().rev().copied().collect(),
            in_top5: columns.in_top5.iter().rev().copied().collect(),
            loss: columns.loss.iter().rev().copied().collect(),
            confidence: columns.confidence.iter().rev().copied().collect(),
            classes: columns.classes,
            numbers: columns
                .numbers
                .iter()
                .map(|(n, v)| (n.clone(), v.iter().rev().copied().collect()))
                .collect(),
        };
        for metric in METRICS.items {
            let (a, b) = (value(metric.name(), &columns).unwrap(), value(metric.name(), &reversed).unwrap());
            assert!((a - b).abs() < 1e-12, "{}", metric.name());
        }
    }

    #[test]
    fn perfect_predictions_are_best() {
        let columns = sample();
        let perfect = Columns {
            prediction: columns.label.clone(),
            in_top5: vec![true; 5],
            loss: vec![0.0; 5],
            confidence: vec![1.0; 5],
            ..columns
        };
        for metric in METRICS.items.iter().filter(|m| OF_CHOICES.contains(&m.name())) {
            let best = if metric.higher_is_better() { 1.0 } else { 0.0 };
            assert_eq!(value(metric.name(), &perfect), Some(best), "{}", metric.name());
        }
    }

    #[test]
    fn the_list_is_sorted_and_documented() {
        let names: Vec<_> = METRICS.names().collect();
        assert!(names.is_sorted());
        for metric in METRICS.items {
            assert!(!metric.summary().is_empty() && !metric.reference().is_empty());
            assert!(metric.form(&sample()).is_some());
        }
    }
}
