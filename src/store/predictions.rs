//! Predictions of one cell.

use std::path::{Path, PathBuf};

use super::manifest::CellRecord;
use super::{StoreError, columns};
use crate::base::digest::Digest;
use crate::base::table::{Table, TableError};
use crate::metric::Columns;

/// One row per example, in the order of the data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Stable id.
    pub example_id: Vec<String>,
    /// True class, an index into the head's classes.
    pub label: Vec<u32>,
    /// Class with the largest logit; the first of equals.
    pub prediction: Vec<u32>,
    /// Softmax probability of the predicted class.
    pub score: Vec<f32>,
    /// Negative log-likelihood of the label, in nats.
    pub loss: Vec<f32>,
    /// Classes of the largest logits, `k` a row, best first.
    pub top_classes: Vec<u32>,
    /// The largest logits, `k` a row, best first.
    pub top_logits: Vec<f32>,
    /// Numbers that the task keeps, by name.
    pub numbers: Vec<(String, Vec<f64>)>,
    /// Lists that the task keeps, by name: one value for each choice of a row.
    pub lists: Vec<(String, Vec<Vec<f64>>)>,
    /// What the model wrote, if it did.
    pub texts: Option<Vec<String>>,
    /// Logits kept a row: [`crate::task::TOP`], or the number of classes if smaller.
    pub k: usize,
}

impl Predictions {
    /// Where the predictions of a cell lie below the results folder.
    #[must_use]
    pub fn path(out: &Path, variant: &str, probe: &str) -> PathBuf {
        out.join("predictions").join(variant).join(format!("{probe}.parquet"))
    }

    /// Writes the file atomically.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        let fill = || -> Result<(), TableError> {
            let mut table = Table::new(self.label.len());
            table.push_strings(columns::EXAMPLE, self.example_id.clone())?;
            table.push_u32(columns::LABEL, self.label.clone())?;
            table.push_u32(columns::PREDICTION, self.prediction.clone())?;
            let correct = self.label.iter().zip(&self.prediction).map(|(a, b)| a == b).collect();
            table.push_bools(columns::CORRECT, correct)?;
            table.push_f32(columns::SCORE, self.score.clone())?;
            table.push_f32(columns::LOSS, self.loss.clone())?;
            table.push_u32_lists(columns::TOP_CLASSES, &self.top_classes, self.k)?;
            table.push_f32_lists(columns::TOP_LOGITS, &self.top_logits, self.k)?;
            for (name, values) in &self.numbers {
                table.push_f64(name, values.iter().copied().map(Some).collect())?;
            }
            for (name, rows) in &self.lists {
                table.push_f64_rows(name, rows.iter().map(Vec::as_slice))?;
            }
            if let Some(texts) = &self.texts {
                table.push_strings(columns::TEXT, texts.clone())?;
            }
            table.write(path)
        };
        fill().map_err(|e| StoreError::table(path, e))
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let load = || -> Result<Self, TableError> {
            let table = Table::read(path, None, None)?;
            let top_classes = table.u32_lists(columns::TOP_CLASSES)?;
            let (mut numbers, mut lists, mut texts) = (Vec::new(), Vec::new(), None);
            for name in table.columns().into_iter().filter(|n| !columns::COMMON.contains(&n.as_str())) {
                if name == columns::TEXT {
                    texts = Some(table.strings(&name)?);
                } else if table.is_list(&name)? {
                    lists.push((name.clone(), table.f64_rows(&name)?));
                } else {
                    numbers.push((name.clone(), table.f64s(&name)?));
                }
            }
            Ok(Self {
                numbers,
                lists,
                texts,
                example_id: table.strings(columns::EXAMPLE)?,
                label: table.u32s(columns::LABEL)?,
                prediction: table.u32s(columns::PREDICTION)?,
                score: table.f32s(columns::SCORE)?,
                loss: table.f32s(columns::LOSS)?,
                top_logits: table.f32_lists(columns::TOP_LOGITS)?,
                k: top_classes.len() / table.rows().max(1),
                top_classes,
            })
        };
        load().map_err(|e| StoreError::table(path, e))
    }

    /// Reads the ids of a finished cell's examples.
    pub fn ids(out: &Path, record: &CellRecord) -> Result<Vec<String>, StoreError> {
        let path = Self::path(out, &record.variant, &record.probe);
        let load = || Table::read(&path, Some(&[columns::EXAMPLE]), None)?.strings(columns::EXAMPLE);
        load().map_err(|e| StoreError::table(&path, e))
    }

    /// Reads the predictions of a finished cell, if they are those that were written.
    /// `classes` is the number of classes of the head.
    pub fn read_record(out: &Path, record: &CellRecord, classes: usize) -> Result<Self, StoreError> {
        let path = Self::path(out, &record.variant, &record.probe);
        if Digest::of_file(&path)? != record.file {
            return Err(StoreError::Edited(path));
        }
        let this = Self::read(&path)?;
        let beyond = |all: &[u32]| all.iter().any(|&class| class as usize >= classes);
        if beyond(&this.label) || beyond(&this.prediction) {
            let reason = format!("it holds a class beyond the {classes} of its probe");
            return Err(StoreError::Manifest { path, reason });
        }
        Ok(this)
    }

    /// What metrics read. `classes` is the number of classes of the head.
    #[must_use]
    pub fn columns(&self, classes: usize) -> Columns {
        let rows = self.top_classes.chunks(self.k.max(1));
        Columns {
            in_top5: rows.zip(&self.label).map(|(row, label)| row.contains(label)).collect(),
            label: self.label.clone(),
            prediction: self.prediction.clone(),
            loss: self.loss.clone(),
            confidence: self.score.iter().map(|&s| f64::from(s)).collect(),
            classes,
            numbers: self.numbers.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = Predictions::path(dir.path(), "a@0.5", "noto");
        let all = Predictions {
            example_id: vec!["x".to_owned(), "y".to_owned()],
            label: vec![2, 0],
            prediction: vec![2, 1],
            score: vec![0.5, 0.25],
            loss: vec![0.7, 2.0],
            top_classes: vec![2, 0, 1, 2],
            top_logits: vec![3.0, 1.0, 2.0, 0.5],
            numbers: vec![("acc_norm".to_owned(), vec![1.0, 0.0])],
            lists: vec![("loglikelihoods".to_owned(), vec![vec![-1.0], vec![-2.0, -0.5]])],
            texts: Some(vec!["yes".to_owned(), String::new()]),
            k: 2,
        };
        all.write(&path).unwrap();
        assert_eq!(Predictions::read(&path).unwrap(), all);
        assert_eq!(all.columns(3).in_top5, [true, false]);
    }
}
