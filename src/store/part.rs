//! Finished segments of a pass, so that an interrupted run goes on where it stopped.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{StoreError, columns};
use crate::base::digest::Digest;
use crate::base::fs::{read_text, write_atomic};
use crate::base::table::{Table, TableError};
use crate::task::{Choice, Judged, TOP};

/// One prediction of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct PartRow {
    /// Index of the cell in the pass.
    pub cell: u32,
    /// Position of the example in the data set.
    pub position: u32,
    /// The judged answer.
    pub judged: Judged,
}

/// What is known of a segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartState {
    /// Not there.
    Missing,
    /// There and whole.
    Finished,
    /// Not as it was written.
    Damaged,
}

/// A segment's file.
pub struct Part;

impl Part {
    /// Where a segment lies below the results folder.
    #[must_use]
    pub fn path(out: &Path, pass: &str, segment: usize) -> PathBuf {
        out.join(".parts").join(pass).join(format!("{segment:06}.parquet"))
    }

    fn digest_path(path: &Path) -> PathBuf {
        path.with_extension("sha256")
    }

    /// Whether a segment is finished: its file is there, and it is the one that was written. A damaged one is told apart
    /// from one that is not there.
    #[must_use]
    pub fn state(path: &Path) -> PartState {
        match (read_text(&Self::digest_path(path)), Digest::of_file(path)) {
            (Ok(written), Ok(found)) if written.trim() == found.as_str() => PartState::Finished,
            (Err(_), Err(_)) => PartState::Missing,
            // A kill between the two writes leaves a part without its digest; nothing is wrong with that.
            (Err(e), Ok(_)) if e.is_missing() => PartState::Missing,
            _ => PartState::Damaged,
        }
    }

    /// Removes a segment, if it is there.
    pub fn remove(path: &Path) {
        for path in [Self::digest_path(path), path.to_owned(), path.with_extension("skipped.json")] {
            // What is not there is removed already.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Writes the rows, sorted by cell and position, atomically, then their digest, which marks them as finished.
    pub fn write(path: &Path, mut rows: Vec<PartRow>) -> Result<(), StoreError> {
        rows.sort_by_key(|r| (r.cell, r.position));
        let fill = || -> Result<(), TableError> {
            let mut table = Table::new(rows.len());
            table.push_u32(columns::CELL, rows.iter().map(|r| r.cell).collect())?;
            table.push_u32(columns::POSITION, rows.iter().map(|r| r.position).collect())?;
            table.push_u32(columns::PREDICTION, rows.iter().map(|r| r.judged.choice.prediction).collect())?;
            table.push_f32(columns::SCORE, rows.iter().map(|r| r.judged.choice.score).collect())?;
            table.push_f32(columns::LOSS, rows.iter().map(|r| r.judged.choice.loss).collect())?;
            let classes: Vec<u32> = rows.iter().flat_map(|r| r.judged.choice.top_classes).collect();
            table.push_u32_lists(columns::TOP_CLASSES, &classes, TOP)?;
            let logits: Vec<f32> = rows.iter().flat_map(|r| r.judged.choice.top_logits).collect();
            table.push_f32_lists(columns::TOP_LOGITS, &logits, TOP)?;
            push_kept(&mut table, &rows)?;
            table.write(path)
        };
        fill().map_err(|e| StoreError::table(path, e))?;
        let digest = Digest::of_file(path)?;
        Ok(write_atomic(&Self::digest_path(path), digest.as_str().as_bytes())?)
    }

    /// Reads the rows of one cell.
    pub fn read(path: &Path, cell: u32) -> Result<Vec<PartRow>, StoreError> {
        Self::read_cells(path, cell..cell + 1)
    }

    /// Reads the rows of some neighbouring cells.
    pub fn read_cells(path: &Path, wanted: Range<u32>) -> Result<Vec<PartRow>, StoreError> {
        let load = || -> Result<Vec<PartRow>, TableError> {
            let cells = Table::read(path, Some(&[columns::CELL]), None)?.u32s(columns::CELL)?;
            let start = cells.partition_point(|&c| c < wanted.start);
            let length = cells.partition_point(|&c| c < wanted.end) - start;
            if length == 0 {
                return Ok(Vec::new());
            }
            let table = Table::read(path, None, Some((start, length)))?;
            let (positions, predictions) = (table.u32s(columns::POSITION)?, table.u32s(columns::PREDICTION)?);
            let (scores, losses) = (table.f32s(columns::SCORE)?, table.f32s(columns::LOSS)?);
            let (classes, logits) =
                (table.u32_lists(columns::TOP_CLASSES)?, table.f32_lists(columns::TOP_LOGITS)?);
            let choice = |i: usize| Choice {
                prediction: predictions[i],
                score: scores[i],
                loss: losses[i],
                top_classes: std::array::from_fn(|k| classes[i * TOP + k]),
                top_logits: std::array::from_fn(|k| logits[i * TOP + k]),
            };
            let mut kept = Kept::read(&table)?;
            let row = |i: usize| PartRow {
                cell: cells[start + i],
                position: positions[i],
                judged: kept.judged(i, choice(i)),
            };
            Ok((0..length).map(row).collect())
        };
        load().map_err(|e| StoreError::table(path, e))
    }
}

/// Appends what tasks keep besides the choice; nothing if no row has any of it.
fn push_kept(table: &mut Table, rows: &[PartRow]) -> Result<(), TableError> {
    if rows.iter().any(|r| !r.judged.numbers.is_empty()) {
        table.push_f64_rows(columns::NUMBERS, rows.iter().map(|r| r.judged.numbers.as_slice()))?;
    }
    if rows.iter().any(|r| !r.judged.lists.is_empty()) {
        let flat: Vec<Vec<f64>> = rows
            .iter()
            .map(|r| {
                let count = std::iter::once(r.judged.lists.len() as f64);
                count.chain(r.judged.lists.iter().flatten().copied()).collect()
            })
            .collect();
        table.push_f64_rows(columns::LISTS, flat.iter().map(Vec::as_slice))?;
    }
    if rows.iter().any(|r| r.judged.text.is_some()) {
        let texts = rows.iter().map(|r| r.judged.text.clone().unwrap_or_default()).collect();
        table.push_strings(columns::TEXT, texts)?;
    }
    Ok(())
}

/// What tasks keep besides the choice, row by row.
struct Kept {
    numbers: Option<Vec<Vec<f64>>>,
    lists: Option<Vec<Vec<f64>>>,
    texts: Option<Vec<String>>,
}

impl Kept {
    fn read(table: &Table) -> Result<Self, TableError> {
        let names = table.columns();
        let has = |name: &str| names.iter().any(|n| n == name);
        Ok(Self {
            numbers: has(columns::NUMBERS).then(|| table.f64_rows(columns::NUMBERS)).transpose()?,
            lists: has(columns::LISTS).then(|| table.f64_rows(columns::LISTS)).transpose()?,
            texts: has(columns::TEXT).then(|| table.strings(columns::TEXT)).transpose()?,
        })
    }

    fn judged(&mut self, i: usize, choice: Choice) -> Judged {
        let flat = self.lists.as_mut().map(|l| std::mem::take(&mut l[i])).unwrap_or_default();
        let count = flat.first().map_or(0, |&n| n as usize);
        let values = flat.get(1..).unwrap_or_default();
        let lists = match values.len().checked_div(count) {
            Some(width) => (0..count).map(|l| values[l * width..(l + 1) * width].to_vec()).collect(),
            None => Vec::new(),
        };
        Judged {
            choice,
            numbers: self.numbers.as_mut().map(|n| std::mem::take(&mut n[i])).unwrap_or_default(),
            lists,
            text: self.texts.as_mut().map(|t| std::mem::take(&mut t[i])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_cell_by_cell_in_order() {
        let row = |cell, position| PartRow {
            cell,
            position,
            judged: Judged {
                choice: Choice {
                    prediction: position,
                    score: 0.5,
                    loss: 1.0,
                    top_classes: [1, 2, u32::MAX, u32::MAX, u32::MAX],
                    top_logits: [3.0, 2.0, f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY],
                },
                numbers: vec![f64::from(position), -1.5],
                lists: vec![vec![0.5; position as usize], vec![1.0; position as usize]],
                text: Some(format!("row {position}")),
            },
        };
        let dir = tempfile::tempdir().unwrap();
        let path = Part::path(dir.path(), "abc", 3);
        Part::write(&path, vec![row(1, 5), row(0, 7), row(1, 2)]).unwrap();
        assert_eq!(Part::read(&path, 1).unwrap(), [row(1, 2), row(1, 5)]);
        assert_eq!(Part::read(&path, 0).unwrap(), [row(0, 7)]);
        assert!(Part::read(&path, 2).unwrap().is_empty());
        assert_eq!(Part::read_cells(&path, 0..2).unwrap(), [row(0, 7), row(1, 2), row(1, 5)]);
        assert_eq!(Part::state(&path), PartState::Finished);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Part::state(&path), PartState::Damaged);
        Part::remove(&path);
        assert_eq!(Part::state(&path), PartState::Missing);
    }
}
